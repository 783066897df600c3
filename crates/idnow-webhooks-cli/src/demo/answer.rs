use std::fmt;

use idnow_webhooks_sandbox::model;
use serde::Serialize;

/// What came back for one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// None: no complete answer.
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl Answer {
    /// The body is the problem that a refusal comes with, or anything else.
    pub(super) fn new(status: u16, body: &str) -> Self {
        let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
        let code = problem.and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned()));
        Self { status: Some(status), code }
    }

    /// What the sandbox saw.
    pub(super) fn of_attempt(answer: Option<&model::Answer>) -> Self {
        match answer {
            Some(model::Answer::Status { code, body }) => Self::new(*code, body),
            _ => Self { status: None, code: None },
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, &self.code) {
            (None, _) => f.write_str("no answer"),
            (Some(status), None) => write!(f, "{status}"),
            (Some(status), Some(code)) => write!(f, "{status} {code}"),
        }
    }
}
