//! The proxy that the environment names. The HTTP client ignores one that it cannot read, and would connect directly.

use std::env;
use std::env::VarError;

use http::Uri;
use url::Url;

use crate::error::ConfigError;

/// For HTTPS, in the order in which the HTTP client looks for them. The first of each pair that is set counts.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

pub(crate) fn check_environment() -> Result<(), ConfigError> {
    check(|name| env::var(name))
}

fn check(variable: impl Fn(&str) -> Result<String, VarError>) -> Result<(), ConfigError> {
    for pair in VARIABLES {
        for name in pair {
            let problem = match variable(name) {
                Err(VarError::NotPresent) => continue,
                Err(VarError::NotUnicode(_)) => Some("is not UTF-8 text"),
                // What comes after it is not looked at.
                Ok(value) if value.is_empty() => break,
                Ok(value) => problem(&value),
            };
            return problem
                .map_or(Ok(()), |problem| Err(ConfigError::InvalidProxy { variable: name, problem }));
        }
    }
    Ok(())
}

fn problem(value: &str) -> Option<&'static str> {
    // The client reads it by the one type, which takes almost any word, and the other is what a URL is.
    let Ok(uri) = value.parse::<Uri>() else { return Some("is not a URL") };
    let with_scheme = if uri.scheme().is_some() { value.to_owned() } else { format!("http://{value}") };
    let Ok(url) = Url::parse(&with_scheme) else { return Some("is not a URL") };
    let Some(authority) = uri.authority() else { return Some("is not a URL") };
    match url.scheme() {
        "http" | "https" if uri.scheme().is_some() || authority.port().is_some() => None,
        "http" | "https" => Some("is neither a URL nor a host with its port"),
        _ => Some("is a URL, but not one of an HTTP proxy"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn only_urls_and_hosts_with_a_port_are_taken() {
        for value in [
            "http://proxy:3128",
            "https://proxy.example.com",
            "http://user:p%40ss@[::1]:3128/",
            "HTTP://PROXY/",
            "proxy.example.com:3128",
            "user:pass@proxy:80",
            "10.0.0.1:3128",
        ] {
            assert_eq!(problem(value), None, "{value}");
        }
        for value in [
            "nonsense",
            "proxy.example.com",
            "not a url",
            " http://proxy:3128",
            "\"http://proxy:3128\"",
            "'http://proxy:3128'",
            "http://",
            "http:///path",
            "http://pro xy:3128",
            "http://proxy:99999",
            "proxy:99999",
            "http://proxy:port",
            "http://user:p@ss:w@rd@",
            "//proxy:3128",
            "/proxy",
            "socks5://proxy:1080",
            "ftp://proxy",
            "http:proxy:3128",
            "h\u{fc}ttp://proxy",
        ] {
            assert!(problem(value).is_some(), "{value}");
        }
    }

    #[test]
    fn the_variable_that_counts_is_checked_and_named() {
        const BAD: Option<&str> = Some("hunter2 hunter2");
        const GOOD: Option<&str> = Some("http://proxy:3128");
        const EMPTY: Option<&str> = Some("");
        for (values, expected) in [
            ([None, None, None, None], None),
            ([BAD, GOOD, GOOD, GOOD], Some("HTTPS_PROXY")),
            ([None, BAD, GOOD, GOOD], Some("https_proxy")),
            ([None, None, BAD, GOOD], Some("ALL_PROXY")),
            ([None, None, None, BAD], Some("all_proxy")),
            ([GOOD, BAD, BAD, BAD], None),
            ([None, GOOD, BAD, BAD], None),
            // An empty one counts as set, and as none.
            ([EMPTY, BAD, EMPTY, BAD], None),
            ([EMPTY, None, BAD, None], Some("ALL_PROXY")),
        ] {
            let names = VARIABLES.concat();
            let value = |name: &str| values[names.iter().position(|known| *known == name).unwrap()];
            let result = check(|name| value(name).map(str::to_owned).ok_or(VarError::NotPresent));
            let text = result.map_err(|error| format!("{error} {error:?}")).err();
            assert_eq!(text.is_some(), expected.is_some(), "{values:?}: {text:?}");
            if let (Some(text), Some(variable)) = (text, expected) {
                assert!(text.starts_with(variable) && !text.contains("hunter2"), "{values:?}: {text}");
            }
        }
        let error = check(|_| Err(VarError::NotUnicode(OsString::from("hunter2")))).unwrap_err();
        assert!(error.to_string().starts_with("HTTPS_PROXY (value not shown) is not UTF-8 text"), "{error}");
    }
}
