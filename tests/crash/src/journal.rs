use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// All lines have this length. Not one of them then lies across two pages, and a kill between two pages cannot cut it:
/// the system copies what a `write` gives it page by page.
const LINE: usize = 128;

/// A file to which the handlers of all processes, and the test, append what they do.
///
/// Each line is one `write` to a file opened for appending, so the order of the lines is the order in which things were
/// noted: whether two runs overlapped can be read from it without any clock.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    process: u32,
}

/// What was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A handler begins.
    Start,
    /// A handler has done its work, and is about to return.
    End,
    /// A handler was stopped before that.
    Dropped,
    /// The test is about to send a process SIGKILL.
    Kill,
    /// The test is about to send a process SIGTERM.
    Terminate,
}

impl Action {
    const ALL: [(Self, &str); 5] = [
        (Self::Start, "start"),
        (Self::End, "end"),
        (Self::Dropped, "dropped"),
        (Self::Kill, "kill"),
        (Self::Terminate, "terminate"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(action, _)| *action == self).map_or("", |(_, name)| name)
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(action, _)| *action)
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub action: Action,
    /// In which process, or to which.
    pub process: u32,
    /// When, in microseconds since the epoch.
    pub at: i64,
    /// To which event; `-` for what happens to a process.
    pub event: String,
    /// And of which session.
    pub session: String,
}

impl Journal {
    /// Opens a journal, and makes it if it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, path: path.to_owned(), process: std::process::id() })
    }

    /// Notes what happens to an event in this process.
    pub fn note(&self, action: Action, event: &str, session: &str) -> io::Result<()> {
        self.write(action, self.process, event, session)
    }

    /// Notes what is about to happen to a process.
    pub fn note_process(&self, action: Action, process: u32) -> io::Result<()> {
        self.write(action, process, "-", "-")
    }

    fn write(&self, action: Action, process: u32, event: &str, session: &str) -> io::Result<()> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_micros();
        let line = format!("{} {process} {at} {event} {session}", action.name());
        let width = LINE - 1;
        if line.len() > width || line.split(' ').count() != 5 {
            return Err(io::Error::other(format!("{line:?} does not fit into the journal")));
        }
        (&self.file).write_all(format!("{line:<width$}\n").as_bytes())
    }

    /// All lines, in order.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds what nobody wrote.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let bytes = std::fs::read(&self.path)?;
        bytes
            .chunks(LINE)
            .map(|line| {
                let text = String::from_utf8_lossy(line);
                entry(&text).ok_or_else(|| io::Error::other(format!("the journal holds {text:?}")))
            })
            .collect()
    }
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.strip_suffix('\n').filter(|_| line.len() == LINE)?.split_whitespace();
    let mut word = || words.next();
    let entry = Entry {
        action: Action::of(word()?)?,
        process: word()?.parse().ok()?,
        at: word()?.parse().ok()?,
        event: word()?.to_owned(),
        session: word()?.to_owned(),
    };
    word().is_none().then_some(entry)
}
