//! The file on disk and its log, as opposed to what stands in the folder under their names by now.
//!
//! A descriptor of a file that was deleted or replaced can be written without an error, and all of that is lost when it
//! is closed.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

#[derive(Debug)]
pub(crate) struct Files {
    database: (PathBuf, Identity),
    log: (PathBuf, Identity),
}

impl Files {
    /// Sees to it that there is a file. SQLite gives its log the same permissions.
    pub(crate) fn prepare(path: &Path, create_if_missing: bool) -> Result<(), OpenError> {
        let error = |source| error(path, source);
        match fs::metadata(path) {
            Ok(_) => return Ok(()),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            Err(other) => return Err(error(other)),
        }
        if let Some(folder) = path.parent()
            && !folder.is_dir()
        {
            return Err(OpenError::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
        }
        if !create_if_missing {
            return Err(OpenError::NotFound { path: path.to_owned() });
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Events tell about people: nobody but this user needs to read them.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(path) {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(exists) if exists.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(other) => Err(error(other)),
        }
    }

    /// Why SQLite could not open a file, or one of those beside it: it does not say. The file itself must not be opened
    /// here, because closing it would end the locks of all other connections in this process.
    pub(crate) fn why_not(path: &Path) -> Option<OpenError> {
        let mut probe = path.as_os_str().to_owned();
        probe.push("-probe");
        let probe = PathBuf::from(probe);
        match OpenOptions::new().write(true).create_new(true).open(&probe) {
            Ok(_) => {
                // Whoever else has removed it has the same in mind.
                let _ = fs::remove_file(&probe);
                None
            }
            Err(source) if source.kind() == ErrorKind::AlreadyExists => None,
            Err(source) => Some(error(path, source)),
        }
    }

    /// Of a database that has just been opened, and so has its log.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let mut log = fs::canonicalize(path)?.into_os_string();
        log.push("-wal");
        let identify = |path: PathBuf| fs::metadata(&path).map(|metadata| (path, Identity::of(&metadata)));
        Ok(Self { database: identify(path.to_owned())?, log: identify(log.into())? })
    }

    /// Whether they are still in their place. This takes microseconds.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (path, identity) in [&self.database, &self.log] {
            let (found, path) = (fs::metadata(path), path.display());
            match found {
                Ok(metadata) if Identity::of(&metadata) == *identity => {}
                Ok(_) => return Err(format!("{path} was replaced while the store had it open")),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(format!("{path} was deleted while the store had it open"));
                }
                Err(error) => return Err(format!("{path} is out of reach: {error}")),
            }
        }
        Ok(())
    }
}

fn error(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => OpenError::ReadOnly { path },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpenError::Full { path },
        _ => OpenError::CannotOpen { path, source: source.into() },
    }
}

#[cfg(unix)]
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

#[cfg(unix)]
impl Identity {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Other systems do not let go of a file that is open.
#[cfg(not(unix))]
#[derive(Debug, PartialEq, Eq)]
struct Identity;

#[cfg(not(unix))]
impl Identity {
    fn of(_: &Metadata) -> Self {
        Self
    }
}
