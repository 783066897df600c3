/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivatePostgresError {
    /// The binaries are missing.
    #[error(
        "these tests need PostgreSQL's `initdb` and `postgres`, version {min} or later, and found none in PATH or where \
         packages put them. Install them: on Debian or Ubuntu `apt-get install postgresql`, on macOS `brew install \
         postgresql`{found}",
        min = crate::binaries::MIN_VERSION
    )]
    Missing {
        /// What was found and does not fit.
        found: String,
    },
    /// The server could not be started, stopped or killed.
    #[error("the private PostgreSQL server: {0}")]
    Start(String),
    /// A file or a process of the server.
    #[error("the private PostgreSQL server: {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// How it failed.
        source: std::io::Error,
    },
    /// A statement on the server.
    #[error("the private PostgreSQL server refused a statement")]
    Sql(#[from] sqlx::Error),
}

impl PrivatePostgresError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
