use std::time::Duration;

/// What was read at one place.
pub(crate) struct Document {
    /// The URL or file, as shown in messages.
    pub(crate) location: String,
    pub(crate) body: Vec<u8>,
    /// Whether it came in gzip, though nobody asked for that.
    pub(crate) compressed: bool,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) age: Duration,
}
