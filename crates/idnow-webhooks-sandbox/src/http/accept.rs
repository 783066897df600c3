//! Who reads the answer: a person with a browser, or a program.

use http::HeaderMap;
use http::header::ACCEPT;

/// Whether a page is understood. Programs take anything (`*/*`), or JSON.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        let refused = parts.any(|part| {
            let weight = part.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("q"));
            weight.is_some_and(|(_, weight)| weight.parse().is_ok_and(|weight: f32| weight <= 0.0))
        });
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_say_that_they_understand_pages() {
        let with = |value| wants_page(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]));
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "application/json, Text/HTML ; q=0.5",
        ] {
            assert!(with(browser), "{browser}");
        }
        for program in ["*/*", "application/json", "text/*", "", "text/html;q=0", "text/htmlx, x/text/html"] {
            assert!(!with(program), "{program}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }
}
