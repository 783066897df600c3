use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// What the sandbox answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn media_type(&self) -> &str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap()
    }

    /// Panics unless the status is this one.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// `code` of a problem; nothing if it is none.
    pub(crate) fn code(&self) -> String {
        if self.media_type() != "application/problem+json" {
            return String::new();
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{self:?}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{self:?}");
        problem["code"].as_str().unwrap().to_owned()
    }

    /// Status, code and field of a problem.
    pub(crate) fn refusal(&self) -> (u16, String, Option<String>) {
        let code = self.code();
        assert!(!code.is_empty(), "{self:?}");
        (self.status.as_u16(), code, self.json()["field"].as_str().map(str::to_owned))
    }
}
