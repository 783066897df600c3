use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use idnow_webhooks_core::{Clock as _, SystemClock};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::MakeWriter;

const LOG: &str = "idnow_webhooks::log";
/// How much may wait for a reader who is slow: some thousand lines.
const WAITING_BYTES: usize = 1024 * 1024;
/// How long a reader who is slow may hold up the end of the program.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// A log that never stops the program.
///
/// A thread of its own writes the lines. Up to 1 MiB waits for a reader who is slow; what comes beyond that, or cannot be
/// written (a full disk, a pipe whose reader is gone), is dropped, and a line tells how many lines are missing as soon as
/// one can be written again. A process that writes into a pipe by itself stands still once it is full, and one that uses
/// `println!` panics when it cannot write.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
/// use std::process::ExitCode;
///
/// use idnow_webhooks::program::Log;
///
/// #[tokio::main]
/// async fn main() -> ExitCode {
///     let log = Log::to_stderr();
///     let result = match log.install("info") {
///         Ok(()) => run().await,
///         Err(error) => Err(error.into()),
///     };
///     log.close(result)
/// }
/// ```
///
/// With a subscriber of your own: `tracing_subscriber::fmt().with_writer(log.writer())`.
#[derive(Debug)]
pub struct Log {
    writer: LogWriter,
    coloured: bool,
}

/// Hands over what is written, a line at a time, and waits for nothing.
#[derive(Debug, Clone)]
pub struct LogWriter {
    to: Sender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Dropped when all before it is written.
    Flush(SyncSender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    dropped_lines: AtomicU64,
}

/// The log cannot be installed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LogError(String);

impl Log {
    /// Writes to standard error.
    pub fn to_stderr() -> Self {
        let mut log = Self::new(io::stderr());
        log.coloured = io::stderr().is_terminal();
        log
    }

    /// Writes to this, from a thread of its own.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        let (sender, messages) = channel();
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let writing =
            thread::Builder::new().name("log".into()).spawn(move || write_all(to, &messages, &of_thread));
        // Where no thread can be had, all lines are dropped: that is no reason to receive nothing.
        drop(writing);
        Self { writer: LogWriter { to: sender, shared }, coloured: false }
    }

    /// Logs what `RUST_LOG` says, or else `default`, such as `info`, from now on and for good. Panics are logged, too,
    /// whatever `RUST_LOG` says. They would otherwise be written to standard error directly.
    ///
    /// It fails if `RUST_LOG` cannot be read, with a message that names it, or if the process has a log already.
    pub fn install(&self, default: &str) -> Result<(), LogError> {
        let wrong = |error: &dyn fmt::Display| {
            LogError(format!("RUST_LOG: {error}; write it as {default},hyper=debug"))
        };
        let directive: Directive = default.parse().map_err(|error| wrong(&error))?;
        let filter = EnvFilter::builder().with_default_directive(directive).from_env();
        let filter = filter.map_err(|error| wrong(&error))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(self.coloured)
            // It would use `eprintln!`.
            .log_internal_errors(false)
            .with_writer(self.writer())
            .try_init()
            .map_err(|error| LogError(format!("the process has a log already: {error}")))?;
        let writer = self.writer();
        // Not as an event: what has panicked may be the subscriber, which then holds locks that an event needs.
        std::panic::set_hook(Box::new(move |panic| {
            let mut text = format!("panicked: {:?}", panic.payload_as_str().unwrap_or("no text"));
            if let Some(location) = panic.location() {
                text = format!("{text} location={location}");
            }
            let backtrace = Backtrace::capture();
            if backtrace.status() == BacktraceStatus::Captured {
                text = format!("{text} backtrace={backtrace}");
            }
            writer.line(own_line("ERROR", text.trim_end()));
        }));
        Ok(())
    }

    /// A writer for a subscriber of your own, or for lines that are no part of the log.
    pub fn writer(&self) -> LogWriter {
        self.writer.clone()
    }

    /// How many lines were dropped that no line tells of yet.
    pub fn dropped_lines(&self) -> u64 {
        self.writer.shared.dropped_lines.load(Ordering::Relaxed)
    }

    /// Ends the program: writes the error, if there is one, waits for at most 1 s until all is written, and gives the
    /// exit code, 0 or 1.
    pub fn close(self, result: Result<(), Box<dyn Error>>) -> ExitCode {
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                self.writer.line(format!("{error}\n").into());
                ExitCode::FAILURE
            }
        }
    }
}

impl Drop for Log {
    /// Waits for at most 1 s until all is written.
    fn drop(&mut self) {
        let (flushed, waiting) = sync_channel(0);
        if self.writer.to.send(Message::Flush(flushed)).is_ok() {
            // Whether it was dropped or the time is up: the program ends.
            let _ = waiting.recv_timeout(FLUSH_LIMIT);
        }
    }
}

impl LogWriter {
    fn line(&self, line: Vec<u8>) {
        let Shared { waiting_bytes, dropped_lines } = &*self.shared;
        let length = line.len();
        let room = waiting_bytes.fetch_add(length, Ordering::Relaxed) < WAITING_BYTES;
        if !room || self.to.send(Message::Line(line)).is_err() {
            waiting_bytes.fetch_sub(length, Ordering::Relaxed);
            dropped_lines.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Write for LogWriter {
    /// Takes all of it, or drops it. It never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn write_all(mut to: impl Write, messages: &Receiver<Message>, shared: &Shared) {
    for message in messages {
        match message {
            Message::Line(line) => {
                let written = to.write_all(&line);
                shared.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                if written.is_err() {
                    shared.dropped_lines.fetch_add(1, Ordering::Relaxed);
                } else {
                    tell_of_dropped(&mut to, shared);
                }
            }
            Message::Flush(flushed) => {
                tell_of_dropped(&mut to, shared);
                // There is nobody to tell.
                let _ = to.flush();
                drop(flushed);
            }
        }
    }
}

/// Not as an event: what is dropped must not depend on the filter, nor on the queue that was full.
fn tell_of_dropped(to: &mut impl Write, shared: &Shared) {
    let dropped = shared.dropped_lines.swap(0, Ordering::Relaxed);
    if dropped == 0 {
        return;
    }
    let text = format!("{dropped} log lines were dropped: they could not be written in time");
    if to.write_all(&own_line("WARN", &text)).is_err() {
        shared.dropped_lines.fetch_add(dropped, Ordering::Relaxed);
    }
}

/// A line in the format of the events, written without tracing.
fn own_line(level: &str, text: &str) -> Vec<u8> {
    let time = SystemClock.now().format("%FT%T%.6fZ");
    format!("{time} {level:>5} {LOG}: {text}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};
    use std::time::Instant;

    use super::*;

    /// A file that can be full, or whose writers wait.
    #[derive(Clone, Default)]
    struct Sink(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        written: String,
        full: bool,
        stuck: bool,
    }

    impl Sink {
        fn set(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn written(&self) -> String {
            self.0.0.lock().unwrap().written.clone()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let state = self.0.0.lock().unwrap();
            let mut state = self.0.1.wait_while(state, |state| state.stuck).unwrap();
            if state.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.written.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log() -> (Log, Sink) {
        let sink = Sink::default();
        (Log::new(sink.clone()), sink)
    }

    #[test]
    fn the_last_lines_are_written_before_the_program_ends() {
        let (log, sink) = log();
        for number in 0..1000 {
            writeln!(log.writer(), "{number}").unwrap();
        }
        assert_eq!(log.close(Err("why".into())), ExitCode::FAILURE);
        let written = sink.written();
        assert!(written.starts_with("0\n1\n") && written.ends_with("998\n999\nwhy\n"), "{written}");
    }

    #[test]
    fn a_reader_who_does_not_read_costs_a_bounded_memory_and_a_second_at_the_end() {
        let (log, sink) = log();
        sink.set(|state| state.stuck = true);
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        for _ in 0..2 * 1024 {
            log.writer().write_all(&line).unwrap();
        }
        assert!((1023..=1024).contains(&log.dropped_lines()), "{}", log.dropped_lines());
        assert!(log.writer.shared.waiting_bytes.load(Ordering::Relaxed) <= WAITING_BYTES + line.len());
        let began = Instant::now();
        assert_eq!(log.close(Ok(())), ExitCode::SUCCESS);
        assert!(began.elapsed() < 5 * FLUSH_LIMIT);
        sink.set(|state| state.stuck = false);
    }

    #[test]
    fn what_was_dropped_is_told_when_writing_works_again() {
        let (log, sink) = log();
        sink.set(|state| state.full = true);
        for _ in 0..3 {
            writeln!(log.writer(), "lost").unwrap();
        }
        let began = Instant::now();
        while log.dropped_lines() < 3 {
            assert!(began.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(1));
        }
        sink.set(|state| state.full = false);
        writeln!(log.writer(), "written").unwrap();
        drop(log);
        let written = sink.written();
        let [line, told] = written.lines().collect::<Vec<_>>()[..] else { panic!("{written}") };
        assert_eq!(line, "written");
        assert!(told.contains(" WARN ") && told.contains(": 3 log lines were dropped"), "{told}");
    }

    #[test]
    fn what_was_dropped_last_is_told_at_the_end() {
        let (log, sink) = log();
        sink.set(|state| state.full = true);
        writeln!(log.writer(), "lost").unwrap();
        let began = Instant::now();
        while log.dropped_lines() < 1 {
            assert!(began.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(1));
        }
        sink.set(|state| state.full = false);
        drop(log);
        assert!(sink.written().contains(": 1 log lines were dropped"), "{}", sink.written());
    }
}
