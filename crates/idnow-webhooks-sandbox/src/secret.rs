use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq as _};

use crate::model::MASK;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself: not to be logged, nor compared other than by [`same`].
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Whether two texts are the same. Digests have one length: the time that it takes tells nothing about the texts, not even
/// how long ours is.
pub(crate) fn same(ours: &[u8], theirs: &[u8]) -> Choice {
    digest(&SHA256, ours).as_ref().ct_eq(digest(&SHA256, theirs).as_ref())
}
