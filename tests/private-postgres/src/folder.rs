use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::PrivatePostgresError;

/// Removes the folder when the test process lets go of it, or is gone. The server may need a while to stop.
const JANITOR: &str = r#"
read -r nothing
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    rm -rf "$1" 2>/dev/null && exit
    sleep 1
done
"#;

/// A folder of the server's own, and whose it is.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    janitor: Child,
    /// User and group to run as, if this process is root.
    user: Option<(u32, u32)>,
}

impl Folder {
    pub(crate) fn create() -> Result<Self, PrivatePostgresError> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a socket in it has room for about a hundred bytes.
        let path = std::env::temp_dir().join(format!("idnow-pg-{}-{number}", std::process::id()));
        // Left by a process of the same number that was killed together with its server.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(PrivatePostgresError::io("cannot make its folder"))?;
        let owner = fs::metadata(&path).map_err(PrivatePostgresError::io("cannot see its folder"))?.uid();
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .current_dir("/")
            // Ctrl-C is for the tests.
            .process_group(0)
            .spawn()
            .map_err(PrivatePostgresError::io("cannot run sh"))?;
        let mut folder = Self { path, janitor, user: None };
        if owner == 0 {
            let user = unprivileged()?;
            folder.user = Some(user);
            std::os::unix::fs::chown(&folder.path, Some(user.0), Some(user.1))
                .map_err(PrivatePostgresError::io("cannot give its folder away"))?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that works in this folder, as the user to whom it belongs.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // Settings of the machine's own servers and clients must not leak in.
        for name in ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGPASSWORD", "PGOPTIONS", "PGSERVICE"] {
            command.env_remove(name);
        }
        command.current_dir(&self.path).env("LC_ALL", "C").env("TZ", "UTC");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

/// PostgreSQL refuses to run as root.
fn unprivileged() -> Result<(u32, u32), PrivatePostgresError> {
    let users = fs::read_to_string("/etc/passwd").map_err(PrivatePostgresError::io("/etc/passwd"))?;
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let user = fields.nth(1)?.parse().ok()?;
            found.then_some((user, fields.next()?.parse().ok()?))
        })
    };
    find("postgres").or_else(|| find("nobody")).ok_or_else(|| {
        PrivatePostgresError::Start(
            "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as"
                .into(),
        )
    })
}
