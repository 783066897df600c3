//! The file on disk and its log, as opposed to what stands in the folder under their names by now.
//!
//! A descriptor of a file that was deleted or replaced can be written without an error, and all of that is lost when it
//! is closed.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Failure, OpenError};

#[derive(Debug)]
pub(crate) struct Files {
    database: (PathBuf, Identity),
    log: (PathBuf, Identity),
    origin: Origin,
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
            Ok(created) => {
                let us = created.metadata();
                // Whoever else has removed it has the same in mind.
                let _ = fs::remove_file(&probe);
                let denied = may_write(&fs::metadata(path).ok()?, &us.ok()?) == Some(false);
                denied.then(|| OpenError::PermissionDenied { path: path.to_owned() })
            }
            Err(source) if source.kind() == ErrorKind::AlreadyExists => None,
            Err(source) => Some(error(path, source)),
        }
    }

    /// Of a database that has just been opened, and so has its log.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let mut log = fs::canonicalize(path)?.into_os_string();
        log.push("-wal");
        let identify = |path: PathBuf| Identity::at(&path).map(|identity| (path, identity));
        let origin = Origin::at(path)?;
        Ok(Self { database: identify(path.to_owned())?, log: identify(log.into())?, origin })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether they are still in their place. This takes microseconds.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        for (path, identity) in [&self.database, &self.log] {
            let shown = path.display();
            let problem = match Identity::at(path) {
                Ok(found) if found == *identity => continue,
                Ok(_) => format!("{shown} was replaced while the store had it open"),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if *path == self.database.0 {
                        return Err(Failure::gone(path));
                    }
                    format!("{shown} was deleted while the store had it open")
                }
                Err(error) => format!("{shown} is out of reach: {error}"),
            };
            return Err(Failure::new(problem));
        }
        Ok(())
    }
}

/// Which file a database is, also after it was closed: the system may then give the number of a deleted file to a new
/// one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    identity: Identity,
    /// Where the file system keeps it.
    born: Option<SystemTime>,
}

impl Origin {
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { identity: Identity::at(path)?, born: fs::metadata(path)?.created().ok() })
    }
}

/// Whether the owner of `us` may write a file, as far as that can be told: what groups a user is in cannot.
#[cfg(unix)]
fn may_write(file: &Metadata, us: &Metadata) -> Option<bool> {
    use std::os::unix::fs::MetadataExt as _;
    writable_by(us.uid(), file.uid(), file.mode())
}

#[cfg(not(unix))]
fn may_write(file: &Metadata, _: &Metadata) -> Option<bool> {
    Some(!file.permissions().readonly())
}

#[cfg(unix)]
fn writable_by(user: u32, owner: u32, mode: u32) -> Option<bool> {
    match user {
        0 => Some(true),
        user if user == owner => Some(mode & 0o600 == 0o600),
        _ if mode & 0o006 == 0o006 => Some(true),
        _ if mode & 0o060 == 0o060 => None,
        _ => Some(false),
    }
}

fn error(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::PermissionDenied => OpenError::PermissionDenied { path },
        ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
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
    fn at(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        if let Some(identity) = Self::without_times(path) {
            return Ok(identity);
        }
        fs::metadata(path).map(|found| Self { device: found.dev(), inode: found.ino() })
    }

    /// Linux gives a file whose times were asked for a new one with the next write, and so one more thing to synchronise at
    /// each commit. `None`: this kernel cannot, or there is no file.
    #[cfg(target_os = "linux")]
    fn without_times(path: &Path) -> Option<Self> {
        use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::INO).ok()?;
        Some(Self { device: makedev(found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino })
    }

    #[cfg(not(target_os = "linux"))]
    fn without_times(_: &Path) -> Option<Self> {
        None
    }
}

/// Other systems do not let go of a file that is open.
#[cfg(not(unix))]
#[derive(Debug, PartialEq, Eq)]
struct Identity;

#[cfg(not(unix))]
impl Identity {
    fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_denied_permission_is_told_from_a_read_only_file_system() {
        let of = |kind: ErrorKind| error(Path::new("/a"), kind.into());
        let denied = of(ErrorKind::PermissionDenied);
        assert!(matches!(denied, OpenError::PermissionDenied { .. }), "{denied}");
        let text = "permission denied: run this as the user of the server";
        assert!(denied.to_string().contains(text), "{denied}");
        assert!(matches!(of(ErrorKind::ReadOnlyFilesystem), OpenError::ReadOnly { .. }));
    }

    #[test]
    fn who_may_write_a_file() {
        assert_eq!(writable_by(7, 8, 0o100_600), Some(false), "the server's file, from another user");
        assert_eq!(writable_by(7, 7, 0o100_600), Some(true));
        assert_eq!(writable_by(7, 7, 0o100_400), Some(false));
        assert_eq!(writable_by(7, 8, 0o100_660), None, "one of the group, perhaps");
        assert_eq!(writable_by(7, 8, 0o100_606), Some(true));
        assert_eq!(writable_by(0, 8, 0o100_000), Some(true));
    }
}
