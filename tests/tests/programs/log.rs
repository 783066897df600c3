//! `RUST_LOG` of the deployable programs.

use idnow_webhooks_testkit::SampleEvent;

use super::process::{fails, start};
use super::{DEPLOYABLE, post_when_ready, world};

/// The levels of all lines that a program has logged while it took one event, with this `RUST_LOG`.
async fn levels(program: super::Program, asked: Option<&str>) -> (Vec<String>, String) {
    let world = world();
    let mut variables = world.variables();
    variables.extend(asked.map(|asked| ("RUST_LOG", asked.to_owned())));
    let running = start(program, &variables);
    assert_eq!(post_when_ready(&running.url, &world.provider.token(&SampleEvent::completed())).await, 200);
    let (_, log) = running.terminate();
    let levels = log.lines().filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned));
    (levels.collect(), log)
}

#[tokio::test]
async fn info_is_logged_unless_rust_log_says_otherwise() {
    for program in DEPLOYABLE {
        for (asked, below, info) in [
            (None, false, true),
            (Some(""), false, true),
            (Some("warn"), false, false),
            (Some("off,idnow_webhooks=info"), false, true),
            (Some("info,mio=trace"), true, true),
            // Nothing is said of the rest, so it is silent.
            (Some("mio=trace"), true, false),
            (Some("trace"), true, true),
        ] {
            let (levels, log) = levels(program, asked).await;
            let has_below = levels.iter().any(|level| level == "DEBUG" || level == "TRACE");
            assert_eq!(
                (has_below, log.contains("delivery accepted")),
                (below, info),
                "{program:?} {asked:?} {log}"
            );
        }
    }
}

/// It would be silent, or tell less than was asked for, and nobody would know why.
#[test]
fn a_wrong_rust_log_stops_the_start_with_a_message_that_names_it() {
    for program in DEPLOYABLE {
        for (asked, wrong) in [
            ("info,hyper=debgu", "expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\""),
            ("info,[", "invalid filter directive"),
        ] {
            let mut variables = world().variables();
            variables.push(("RUST_LOG", asked.to_owned()));
            let (status, log) = fails(program, &variables);
            assert_eq!(status.code(), Some(1), "{program:?} {asked}: {log}");
            assert!(log.starts_with("RUST_LOG: ") && log.lines().count() == 1, "{program:?} {asked}: {log}");
            assert!(log.contains(wrong) && log.contains("info,hyper=debug"), "{program:?} {asked}: {log}");
        }
    }
}
