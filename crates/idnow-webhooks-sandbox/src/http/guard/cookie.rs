//! What a browser shows that somebody has signed in on the pages.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::error::Error;
use crate::secret::{Secret, same};

/// One for everybody who has signed in, as there is one access token. It is random: nothing about the token can be learned
/// from it, nor can it be guessed where wrong tokens are counted. It ends with the process, or when the browser is closed.
#[derive(Debug)]
pub(super) struct Cookie {
    name: String,
    value: Secret,
}

impl Cookie {
    /// Of the sandbox at this URL. Cookies do not know ports: with the URL in the name, several sandboxes on a machine do
    /// not sign each other out.
    pub(super) fn new(base_url: &str) -> Result<Self, Error> {
        let mut random = [0; 32];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| Error::unavailable("no random numbers for the cookie of the pages"))?;
        let name = URL_SAFE_NO_PAD.encode(digest(&SHA256, base_url.as_bytes()));
        let name = format!("idnow-sandbox-{}", name.get(..8).unwrap_or_default());
        Ok(Self { name, value: Secret::from(URL_SAFE_NO_PAD.encode(random)) })
    }

    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| {
                name == self.name && same(self.value.expose().as_bytes(), value.as_bytes()).into()
            })
    }

    /// For `Set-Cookie`; `secure` if the browser must not send it without TLS.
    pub(super) fn set(&self, secure: bool) -> Option<HeaderValue> {
        self.header(self.value.expose(), "", secure)
    }

    pub(super) fn removed(&self, secure: bool) -> Option<HeaderValue> {
        self.header("", "; Max-Age=0", secure)
    }

    fn header(&self, value: &str, age: &str, secure: bool) -> Option<HeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{age}{secure}", self.name);
        let mut header = HeaderValue::try_from(text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookies).unwrap())])
    }

    #[test]
    fn only_the_very_cookie_admits() {
        let cookie = Cookie::new("http://127.0.0.1:1").unwrap();
        let (name, value) = (&cookie.name, cookie.value.expose());
        assert!(cookie.is_in(&with(&format!("other=1; {name}={value}"))));
        for wrong in ["", "a", &format!("{name}="), &format!("{name}={value}x"), &format!("x={value}")] {
            assert!(!cookie.is_in(&with(wrong)), "{wrong}");
        }
        assert!(!cookie.is_in(&HeaderMap::new()));
        let next = Cookie::new("http://127.0.0.1:1").unwrap();
        assert_eq!(&next.name, name, "a browser would collect them");
        assert!(!next.is_in(&with(&format!("{name}={value}"))));
        assert_ne!(&Cookie::new("http://127.0.0.1:2").unwrap().name, name);
    }
}
