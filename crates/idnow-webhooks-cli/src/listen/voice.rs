//! Prints from a thread of its own, so that a reader who takes their time holds up nothing else.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::report::Report;

/// How many may wait to be printed.
const WAITING: usize = 64;

type Print = Box<dyn FnOnce(&mut Report) -> io::Result<bool> + Send>;

struct Saying {
    print: Print,
    need: Need,
    /// Dropped unused when it is not printed.
    printed: oneshot::Sender<()>,
}

/// What becomes of what is still to be printed when nobody waits for it any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It is printed all the same: it has happened.
    Always,
    /// It is left out: somebody was told that it did not happen.
    Awaited,
}

pub(super) struct Voice(mpsc::Sender<Saying>);

impl Voice {
    /// Gives also what is sent when nothing more can be printed: the error, or none when the reader has gone away.
    pub(super) fn start(report: Report) -> io::Result<(Self, oneshot::Receiver<io::Result<()>>)> {
        let (sender, sayings) = mpsc::channel(WAITING);
        let (silent, silenced) = oneshot::channel();
        // Not one of the runtime's, which waits for its own at the end: this one may never come back.
        thread::Builder::new().name("print".into()).spawn(move || {
            // Nobody waits for it when the command is stopping anyway.
            let _ = silent.send(print_all(report, sayings));
        })?;
        Ok((Self(sender), silenced))
    }

    /// Gives whether it was printed within this time.
    pub(super) async fn say(
        &self,
        within: Duration,
        need: Need,
        print: impl FnOnce(&mut Report) -> io::Result<bool> + Send + 'static,
    ) -> bool {
        let (printed, seen) = oneshot::channel();
        let said = async {
            self.0.send(Saying { print: Box::new(print), need, printed }).await.is_ok() && seen.await.is_ok()
        };
        timeout(within, said).await.unwrap_or(false)
    }
}

fn print_all(mut report: Report, mut sayings: mpsc::Receiver<Saying>) -> io::Result<()> {
    while let Some(Saying { print, need, printed }) = sayings.blocking_recv() {
        if need == Need::Awaited && printed.is_closed() {
            continue;
        }
        if !print(&mut report)? {
            break;
        }
        // Nobody may wait for it any longer.
        let _ = printed.send(());
    }
    Ok(())
}
