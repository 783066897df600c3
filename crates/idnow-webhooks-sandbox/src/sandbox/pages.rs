//! Lists, a page at a time.

use crate::error::Error;
use crate::model::{Page, PageRequest};

/// Which part of a list is wanted: rows below one, and how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) before: i64,
    pub(super) limit: usize,
}

/// Where the next page begins stands in its token: the row that the last one has ended with.
pub(super) fn cut(page: &PageRequest) -> Result<Cut, Error> {
    if !(1..=PageRequest::MOST).contains(&page.limit) {
        return Err(Error::invalid("limit", "it must be between 1 and 500"));
    }
    let before = match &page.after {
        None => i64::MAX,
        Some(after) => after
            .parse()
            .ok()
            .filter(|row: &i64| *row > 0)
            .ok_or_else(|| Error::invalid("after", "it must be what `next` was in the page before"))?,
    };
    Ok(Cut { before, limit: page.limit.into() })
}

impl Cut {
    /// How many to ask for: one more, to know whether there are more.
    pub(super) fn with_one_more(self) -> u32 {
        u32::try_from(self.limit).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Of what was found with their rows, and perhaps one more.
    pub(super) fn page<T>(self, found: impl IntoIterator<Item = (i64, T)>) -> Page<T> {
        let (mut items, mut last, mut next) = (Vec::new(), None, None);
        for (row, item) in found {
            if items.len() == self.limit {
                next = last.map(|row: i64| row.to_string());
                break;
            }
            items.push(item);
            last = Some(row);
        }
        Page { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_what_is_next_only_if_there_is_more() {
        let of = |limit| cut(&PageRequest { limit, after: None }).unwrap();
        let rows = [(9, 'a'), (7, 'b'), (4, 'c')];
        assert_eq!(of(2).page(rows), Page { items: vec!['a', 'b'], next: Some("7".into()) });
        assert_eq!(of(3).page(rows), Page { items: vec!['a', 'b', 'c'], next: None });
        assert_eq!(of(3).page::<char>([]), Page { items: vec![], next: None });
    }

    #[test]
    fn other_pages_are_refused() {
        for limit in [0, 501, u16::MAX] {
            let error = cut(&PageRequest { limit, after: None }).unwrap_err().to_string();
            assert_eq!(error, "limit: it must be between 1 and 500");
        }
        for after in ["", "x", "-1", "0", "1.5", "99999999999999999999"] {
            let page = PageRequest { limit: 1, after: Some(after.into()) };
            assert!(cut(&page).unwrap_err().to_string().starts_with("after: "), "{after}");
        }
    }
}
