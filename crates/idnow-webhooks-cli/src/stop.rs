//! When to stop.

use std::io;
use std::process;

use tokio::sync::oneshot;

/// The exit code of a process that was asked twice.
const ASKED_TWICE: i32 = 1;

/// Somebody may press Ctrl-C, or ask the process to end (SIGTERM).
pub(crate) struct Stop(oneshot::Receiver<()>);

impl Stop {
    /// From now on neither ends the process by itself, but the second of them does.
    ///
    /// Whoever reads that the command has started may ask it to stop at once: call this before anything is printed.
    pub(crate) fn watch() -> io::Result<Self> {
        let mut signals = Signals::new().map_err(|error| {
            io::Error::new(error.kind(), format!("Ctrl-C and SIGTERM cannot be waited for: {error}"))
        })?;
        let (asked, stop) = oneshot::channel();
        tokio::spawn(async move {
            signals.next().await;
            // Nobody waits for it when the command ends by itself.
            let _ = asked.send(());
            signals.next().await;
            process::exit(ASKED_TWICE);
        });
        Ok(Self(stop))
    }

    /// Waits for it.
    pub(crate) async fn asked(self) {
        // Its sender is dropped only after it was used.
        let _ = self.0.await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
