use serde::Serialize;
use utoipa::ToSchema;

/// Some of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// What to ask for next: `null` at the end.
    pub next: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// How many at most: 1 to 500.
    pub limit: u16,
    /// [`Page::next`] of the page before.
    pub after: Option<String>,
}

impl PageRequest {
    /// The highest [`limit`](Self::limit).
    pub const MOST: u16 = 500;
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 50, after: None }
    }
}
