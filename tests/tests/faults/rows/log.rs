use std::fs::OpenOptions;
use std::process::Stdio;

use futures_util::FutureExt as _;

use super::processes::Outside;
use crate::row::{Group, NotHere, Observed, Row};
use crate::words;
use crate::world::Mode;

pub(crate) fn group() -> Group {
    let harmless = ["200", "completed; ran once", "200", "completed; ran once"];
    let rows = vec![
        Row {
            fault: "standard error is a file on a full disk",
            expected: harmless,
            case: on_a_full_disk(Mode::Queued).boxed(),
        },
        Row {
            fault: "inline: standard error is a file on a full disk",
            expected: harmless,
            case: on_a_full_disk(Mode::Inline).boxed(),
        },
        Row::new("standard error is a pipe whose reader is gone", harmless, into_a_broken_pipe()),
    ];
    Group { title: "A log that cannot be written", rows }
}

async fn on_a_full_disk(mode: Mode) -> Result<Observed, NotHere> {
    let full = OpenOptions::new().write(true).open("/dev/full");
    let full = full.map_err(|_| NotHere("there is no /dev/full"))?;
    Ok(without_a_log(full.into(), mode).await)
}

async fn into_a_broken_pipe() -> Observed {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    without_a_log(writer.into(), Mode::Queued).await
}

async fn without_a_log(stderr: Stdio, mode: Mode) -> Observed {
    let outside = Outside::new();
    let process = outside.start_logging_to(stderr, mode).await;
    let answered = words::attempt(process.address, outside.token()).await;
    let left = outside.finished().await;
    let again = words::attempts(process.address, || outside.token()).await;
    let ends = outside.finished().await;
    process.kill().await;
    Observed { answered, left, again, ends }
}
