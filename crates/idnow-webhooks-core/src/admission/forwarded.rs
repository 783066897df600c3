//! `X-Forwarded-For` and `Forwarded` (RFC 7239), read from the right.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More proxies in a row than any real deployment has.
const MAX_HOPS: usize = 32;

/// Why the source address cannot be read from a proxy's header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardedError {
    /// An entry that would have to be trusted is not an IP address.
    #[error("`{0}` holds an entry that is not an IP address")]
    NotAnAddress(&'static str),
    /// There are more entries than any real chain of proxies has.
    #[error("`{0}` holds more than {MAX_HOPS} entries")]
    TooManyHops(&'static str),
    /// Both headers are present and name different sources.
    #[error("`X-Forwarded-For` and `Forwarded` name different sources: let the proxy remove one of them")]
    Contradiction,
}

/// The right-most address that is not a trusted proxy; the left-most one when all are trusted; `None`
/// without any entry.
pub(super) fn source(
    headers: &HeaderMap,
    trusted: impl Fn(IpAddr) -> bool,
) -> Result<Option<IpAddr>, ForwardedError> {
    let plain = walk("X-Forwarded-For", &lines(headers, &X_FORWARDED_FOR), &trusted, Some)?;
    let standard = walk("Forwarded", &lines(headers, &FORWARDED), &trusted, for_parameter)?;
    match (plain, standard) {
        (Some(one), Some(other)) if one != other => Err(ForwardedError::Contradiction),
        (one, other) => Ok(one.or(other)),
    }
}

/// All lines of a header as one list; a line that is not ASCII becomes an entry that is no address.
fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect()
}

fn walk<'a>(
    name: &'static str,
    lines: &[&'a str],
    trusted: impl Fn(IpAddr) -> bool,
    address_of: impl Fn(&'a str) -> Option<&'a str>,
) -> Result<Option<IpAddr>, ForwardedError> {
    let mut last = None;
    let mut hops = 0;
    for line in lines.iter().rev() {
        let entries = split(line, ',').ok_or(ForwardedError::NotAnAddress(name))?;
        // Empty members of a list are ignored (RFC 9110, 5.6.1.2).
        for entry in entries.into_iter().rev().map(str::trim).filter(|entry| !entry.is_empty()) {
            hops += 1;
            if hops > MAX_HOPS {
                return Err(ForwardedError::TooManyHops(name));
            }
            let address = address_of(entry).and_then(parse).ok_or(ForwardedError::NotAnAddress(name))?;
            if !trusted(address) {
                return Ok(Some(address));
            }
            last = Some(address);
        }
    }
    Ok(last)
}

/// Splits at a separator that stands outside of quoted strings; `None` if a quote is left open, or if there is
/// a backslash outside of quotes. Proxies quote what strangers sent (`host="..."`), so a separator inside of
/// quotes must never count. And a quote that a stranger left open swaps inside and outside for all that the
/// proxy adds: its own quotes then end with one left open, unless it had to escape one, with a backslash.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped, mut stray) = (false, false, false);
    let parts = text
        .split(|character: char| {
            let here = character == separator && !quoted;
            match character {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '\\' => stray = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            here
        })
        .collect();
    (!quoted && !stray).then_some(parts)
}

/// The value of `for` in one element of `Forwarded`, without its quotes.
fn for_parameter(element: &str) -> Option<&str> {
    let pairs = split(element, ';')?;
    let mut values = pairs.into_iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    });
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn parse(entry: &str) -> Option<IpAddr> {
    let bracketed = || entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = entry
        .parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| bracketed().and_then(|inner| inner.parse::<std::net::Ipv6Addr>().ok()).map(IpAddr::V6))?;
    Some(address.to_canonical())
}
