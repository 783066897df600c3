use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::PrivatePostgresError;

/// The oldest that the store supports.
pub(crate) const MIN_VERSION: u32 = 12;

/// PostgreSQL's programs, of one and the same version.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    /// Their major version.
    pub(crate) version: u32,
}

impl Binaries {
    pub(crate) fn find() -> Result<Self, PrivatePostgresError> {
        let mut found = String::new();
        for folder in folders() {
            let initdb = folder.join("initdb");
            let postgres = folder.join("postgres");
            if !initdb.is_file() || !postgres.is_file() {
                continue;
            }
            // A wrapper script may print something else, or belong to another version than its neighbour.
            match (version(&initdb), version(&postgres)) {
                (Some(ours), Some(theirs)) if ours == theirs && ours.0 >= MIN_VERSION => {
                    return Ok(Self { initdb, postgres, version: ours.0 });
                }
                (initdb, postgres) => {
                    let version = |version: Option<(u32, String)>| version.map_or("unknown".into(), |v| v.1);
                    // Writing to a `String` cannot fail.
                    let _ = write!(
                        found,
                        ". What is in {} does not fit: initdb {}, postgres {}",
                        folder.display(),
                        version(initdb),
                        version(postgres)
                    );
                }
            }
        }
        Err(PrivatePostgresError::Missing { found })
    }
}

fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    for (parent, prefix, inside) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ] {
        folders.extend(versions(Path::new(parent), prefix).into_iter().map(|folder| folder.join(inside)));
    }
    if let Some(folder) = output(Command::new("pg_config").arg("--bindir")) {
        folders.push(folder.trim().into());
    }
    folders
}

/// The folders of all versions, the newest first.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let number = |name: &str| {
        let name = name.strip_prefix(prefix)?.trim_start_matches('@');
        Some(name.parse::<f64>().unwrap_or(0.0))
    };
    let mut found: Vec<_> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

/// `initdb (PostgreSQL) 15.6 (Debian 15.6-0)`: the major version, and all of it.
fn version(program: &Path) -> Option<(u32, String)> {
    let line = output(Command::new(program).arg("--version"))?;
    let version = line.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let major = version.chars().take_while(char::is_ascii_digit).collect::<String>();
    Some((major.parse().ok()?, version.to_owned()))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}
