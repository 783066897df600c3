use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, DATE};

/// An answer, whole: two are equal only if status, every header line and the body are.
///
/// `Date` differs by nature, and `Connection` belongs to the connection: both are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// All header lines in alphabetical order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// What came back.
    pub fn new(status: u16, headers: &HeaderMap, body: &Bytes) -> Self {
        let headers = headers
            .iter()
            .filter(|(name, _)| **name != DATE && **name != CONNECTION)
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body = String::from_utf8_lossy(body).into_owned();
        Self { status, headers, body }.sorted()
    }

    /// What is expected when a delivery was accepted: an empty 200.
    pub fn accepted() -> Self {
        Self {
            status: 200,
            headers: vec![line("cache-control", "no-store"), line("content-length", "0")],
            body: String::new(),
        }
    }

    /// What is expected when a delivery was refused.
    ///
    /// Written out here and not taken from the core, so that a change of the wire format is noticed.
    pub fn refused(status: u16, code: &str) -> Self {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            405 => "Method Not Allowed",
            413 => "Payload Too Large",
            415 => "Unsupported Media Type",
            422 => "Unprocessable Entity",
            503 => "Service Unavailable",
            _ => panic!("no delivery is refused with {status}"),
        };
        let body = format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"code":"{code}"}}"#);
        let answer = Self {
            status,
            headers: vec![
                line("cache-control", "no-store"),
                line("content-length", &body.len().to_string()),
                line("content-type", "application/problem+json"),
            ],
            body,
        };
        match status {
            405 => answer.with("allow", "POST"),
            503 => answer.with("retry-after", "1"),
            _ => answer,
        }
    }

    /// The same answer with this header, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push(line(name, value));
        self.sorted()
    }

    /// The same answer without a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    /// The same answer as HEAD gets it.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }

    /// The only header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is repeated");
        value.map(|(_, value)| value.as_str())
    }

    fn sorted(mut self) -> Self {
        self.headers.sort();
        self
    }
}

fn line(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
