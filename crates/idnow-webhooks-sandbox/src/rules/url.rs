//! Which URL may be saved. Whether its host may be reached is decided when something is sent: only then its address is
//! known.

use url::{Host, Url};

use crate::error::Error;

const LONGEST: usize = 2048;

/// The URL is kept as it was written, because it is the audience of the tokens; so nothing is accepted that means
/// something else than it looks like.
///
/// With `allow_plain_http`, plain http may lead to other machines too.
pub(crate) fn check(text: &str, allow_plain_http: bool) -> Result<(), Error> {
    reason(text, allow_plain_http).map_or(Ok(()), |reason| Err(Error::invalid("url", reason)))
}

fn reason(text: &str, allow_plain_http: bool) -> Option<String> {
    if text.len() > LONGEST {
        return Some("it must have at most 2048 bytes".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Some("it must not contain spaces, control characters or backslashes".into());
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("it is no URL: {error}")),
    };
    let written = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(url.scheme(), "https" | "http") || written.as_deref() != Some(url.scheme()) {
        return Some("it must begin with `https://` (or `http://`, to this machine)".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("it must not contain a name or a password: use a header `Authorization` instead".into());
    }
    if url.fragment().is_some() {
        return Some("it must not have a fragment (`#`), which is never sent".into());
    }
    if url.port() == Some(0) {
        return Some("nothing listens on port 0".into());
    }
    if url.scheme() == "http" && !allow_plain_http && !is_loopback(&url) {
        return Some(
            "plain `http://` is for this machine alone (127.0.0.1, [::1], localhost), unless the sandbox was told to allow \
             it: use `https://`"
                .into(),
        );
    }
    None
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_to_this_machine() {
        for good in [
            "https://receiver.example/webhooks",
            "https://receiver.example:8443/a?b=c",
            "HTTPS://Receiver.Example",
            "https://10.0.0.1/",
            "https://[2001:db8::1]/",
            "https://bücher.example/",
            "http://127.0.0.1:8080/webhooks",
            "http://127.9.9.9/",
            "http://0x7f.1/",
            "http://[::1]:80/",
            "http://localhost:3000",
            "http://a.localhost./",
        ] {
            assert_eq!(reason(good, false), None, "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        let long = format!("https://receiver.example/{}", "x".repeat(LONGEST));
        for (bad, part) in [
            ("", "no URL"),
            ("receiver.example", "no URL"),
            ("//receiver.example", "no URL"),
            ("https://", "no URL"),
            ("https:receiver.example", "must begin with"),
            ("https:/receiver.example", "must begin with"),
            ("ftp://receiver.example", "must begin with"),
            ("javascript:alert(1)", "must begin with"),
            ("file:///etc/passwd", "must begin with"),
            ("https://user:secret@receiver.example", "Authorization"),
            ("https://user@receiver.example", "Authorization"),
            ("https://receiver.example/#top", "fragment"),
            ("https://receiver.example:0/", "port 0"),
            ("https://receiver.example:65536/", "no URL"),
            ("https://receiver.example/a b", "spaces"),
            (" https://receiver.example/", "spaces"),
            ("https://receiver.example/\r\nX: y", "spaces"),
            ("https:\\\\receiver.example", "backslashes"),
            ("https://receiver.example\\@127.0.0.1/", "backslashes"),
            ("http://receiver.example/", "plain"),
            ("http://10.0.0.1/", "plain"),
            ("http://localhost.example/", "plain"),
            ("http://notlocalhost/", "plain"),
            ("http://[::ffff:127.0.0.1]/", "plain"),
            (long.as_str(), "2048"),
        ] {
            let plain = reason(bad, true);
            assert_eq!(plain.is_none(), part == "plain", "{bad}: {plain:?}");
            let reason = reason(bad, false).unwrap_or_default();
            assert!(reason.contains(part), "{bad}: {reason:?}");
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
