//! The file on disk: made for this user alone, held by one process, and still in its place.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{self, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::error::Error;

/// A database that nobody else uses until this is released or dropped.
#[derive(Debug)]
pub(crate) struct OwnFile {
    path: PathBuf,
    identity: Identity,
    /// Of a sandbox that keeps nothing.
    temporary: bool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    lock: Option<File>,
    folder: Option<TempDir>,
}

impl OwnFile {
    /// Creates the file if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let path = path::absolute(path).map_err(|error| failed(path, error))?;
        if let Some(folder) = path.parent()
            && !folder.is_dir()
        {
            let reason = format!("there is no folder {}: create it, or correct the path", folder.display());
            return Err(Error::invalid("database", reason));
        }
        if path.is_dir() {
            return Err(Error::invalid("database", format!("{} is a folder: name a file", path.display())));
        }
        create(&path)?;
        // Whoever opens it by a link shall find the same lock.
        let path = fs::canonicalize(&path).map_err(|error| failed(&path, error))?;
        let lock = lock(&path)?;
        let identity = Identity::at(&path).map_err(|error| failed(&path, error))?;
        let held = Mutex::new(Held { lock: Some(lock), folder: None });
        Ok(Self { path, identity, temporary: false, held })
    }

    /// One that is gone after that.
    pub(crate) fn temporary() -> Result<Self, Error> {
        let failed = |error| Error::unavailable_because("a temporary folder could not be made", error);
        let mut builder = tempfile::Builder::new();
        builder.prefix("idnow-webhooks-sandbox-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir().map_err(failed)?;
        let path = folder.path().join("sandbox.db");
        create(&path)?;
        let identity = Identity::at(&path).map_err(failed)?;
        let held = Mutex::new(Held { lock: None, folder: Some(folder) });
        Ok(Self { path, identity, temporary: true, held })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Lets others use it, or removes it if it is temporary. All connections are closed.
    pub(crate) fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        drop(held.lock);
        if let Some(folder) = held.folder
            && let Err(error) = folder.close()
        {
            tracing::warn!(%error, "a temporary folder could not be removed");
        }
    }

    /// Whether it is still in its place: a file that was deleted can be written without an error.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let shown = self.path.display();
        match Identity::at(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => Err(Error::unavailable(format!(
                "{shown} was replaced: restart the sandbox to use the new file"
            ))),
            Err(error) => {
                Err(Error::unavailable_because(format!("{shown} is gone: restore it and restart"), error))
            }
        }
    }
}

/// Events tell about people, and the database holds private keys: nobody but this user needs to read it.
fn create(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(path, error)),
    }
}

/// Two sandboxes would deliver everything twice. The lock is on a file beside it: to open the database itself, other than
/// by SQLite, ends SQLite's locks when it is closed. The system ends this one with the process.
fn lock(path: &Path) -> Result<File, Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push("-lock");
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&beside).map_err(|error| failed(&beside, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::unavailable(format!(
            "{} is used by another sandbox: stop that, or choose another file",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(&beside, error)),
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    let path = path.display();
    let doing = match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("{path} cannot be written: allow this user to write it and its folder")
        }
        _ => format!("{path} cannot be opened"),
    };
    Error::unavailable_because(doing, error)
}

#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self::of(&fs::metadata(path)?))
    }

    #[cfg(unix)]
    fn of(file: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(file.dev(), file.ino())
    }

    /// The system has no number for it; that there is a file at all must do.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self(0, 0)
    }
}
