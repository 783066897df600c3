//! What is allowed and what follows from what: pure functions.

pub(crate) mod headers;
pub(crate) mod lifecycle;
pub(crate) mod names;
pub(crate) mod retry;
pub(crate) mod url;
