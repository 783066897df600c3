//! What a token tells, in the order of the provider's published example.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::model::{Event, SessionStatus};

/// For how long a token is valid, in seconds.
const LIFETIME: i64 = 3600;

/// The claims of a token. Made again from the same values they are the same, byte for byte.
#[derive(Debug, Serialize)]
pub(crate) struct Claims<'a, D> {
    pub(crate) data: D,
    iss: &'a str,
    iat: i64,
    exp: i64,
    sub: String,
    aud: &'a str,
}

impl<'a, D> Claims<'a, D> {
    /// `sub` is the `eventId` of the data, `at` what the clock of the provider shows, `aud` where the token is sent to.
    pub(crate) fn new(data: D, sub: &impl ToString, at: DateTime<Utc>, iss: &'a str, aud: &'a str) -> Self {
        let iat = at.timestamp();
        Self { data, iss, iat, exp: iat.saturating_add(LIFETIME), sub: sub.to_string(), aud }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Data<'a> {
    event_id: Uuid,
    event_name: &'a str,
    event_version: &'static str,
    #[serde(serialize_with = "as_text")]
    event_sequence: u64,
    #[serde(serialize_with = "as_text")]
    event_deliver_id: u64,
    #[serde(serialize_with = "in_milliseconds")]
    created_at: DateTime<Utc>,
    environment: &'a str,
    payload: Payload<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    flow_id: Uuid,
    session_id: Uuid,
    session_status: SessionStatus,
    #[serde(flatten)]
    last_step: Option<LastStep<'a>>,
}

#[derive(Debug, Serialize)]
struct LastStep<'a> {
    #[serde(rename = "lastStepId")]
    id: &'a str,
    #[serde(rename = "lastStepType")]
    kind: &'a str,
    #[serde(rename = "lastStepStatus")]
    status: &'a str,
}

impl<'a> Data<'a> {
    /// `number` counts attempts from 1.
    pub(crate) fn new(event: &'a Event, number: u32, created_at: DateTime<Utc>) -> Self {
        let last_step = event.last_step.as_ref().map(|step| LastStep {
            id: &step.id,
            kind: &step.kind,
            status: &step.status,
        });
        Self {
            event_id: event.id,
            event_name: event.name.name(),
            event_version: "1.0",
            event_sequence: event.sequence,
            event_deliver_id: number.into(),
            created_at,
            environment: &event.environment,
            payload: Payload {
                flow_id: event.flow_id,
                session_id: event.session_id,
                session_status: event.session_status,
                last_step,
            },
        }
    }

    /// The claims of an attempt that is made at this time.
    pub(crate) fn claims(
        event: &'a Event,
        number: u32,
        at: DateTime<Utc>,
        iss: &'a str,
        url: &'a str,
    ) -> Claims<'a, Self> {
        Claims::new(Self::new(event, number, at), &event.id, at, iss, url)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn in_milliseconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventKind, LastStep as Step};

    /// The decoded token that the provider's page "Webhook events" prints, but for its times: there the token was
    /// signed two seconds after `createdAt`.
    const PUBLISHED: &str = r#"{"data":{"eventId":"61a51c5b-480d-4f47-8334-34b0ba7ae0be","eventName":"session.completed","eventVersion":"1.0","eventSequence":"2","eventDeliverId":"1","createdAt":"2026-01-08T08:35:39.581Z","environment":"staging","payload":{"flowId":"bf8e2e27-2340-426f-a0bb-f1081e4a07ac","sessionId":"fe1941c2-bc45-4142-b516-fa0fc9fd7754","sessionStatus":"COMPLETED","lastStepId":"END-ACCEPT","lastStepType":"END","lastStepStatus":"COMPLETED"}},"iss":"https://auth.dev1.platform.idnow.dev/oidc","iat":1767861339,"exp":1767864939,"sub":"61a51c5b-480d-4f47-8334-34b0ba7ae0be","aud":"https://webhook.site/d076d490-8424-4c85-8904-5d1801c7909e"}"#;

    fn event() -> Event {
        Event {
            id: "61a51c5b-480d-4f47-8334-34b0ba7ae0be".parse().unwrap(),
            name: EventKind::Completed,
            sequence: 2,
            session_id: "fe1941c2-bc45-4142-b516-fa0fc9fd7754".parse().unwrap(),
            flow_id: "bf8e2e27-2340-426f-a0bb-f1081e4a07ac".parse().unwrap(),
            environment: "staging".into(),
            session_status: SessionStatus::Completed,
            last_step: Some(Step { id: "END-ACCEPT".into(), kind: "END".into(), status: "COMPLETED".into() }),
            occurred_at: DateTime::UNIX_EPOCH,
        }
    }

    fn claims(event: &Event, number: u32, started_at: &str) -> String {
        let url = "https://webhook.site/d076d490-8424-4c85-8904-5d1801c7909e";
        let issuer = "https://auth.dev1.platform.idnow.dev/oidc";
        let claims = Data::claims(event, number, started_at.parse().unwrap(), issuer, url);
        serde_json::to_string(&claims).unwrap()
    }

    #[test]
    fn the_published_example_comes_out_as_it_is_printed() {
        assert_eq!(claims(&event(), 1, "2026-01-08T08:35:39.581Z"), PUBLISHED);
    }

    #[test]
    fn an_attempt_changes_its_number_and_times_only() {
        let expected = PUBLISHED
            .replace(r#""eventDeliverId":"1""#, r#""eventDeliverId":"11""#)
            .replace("08:35:39.581Z", "08:35:40.000Z")
            .replace("1767861339", "1767861340")
            .replace("1767864939", "1767864940");
        assert_eq!(claims(&event(), 11, "2026-01-08T08:35:40Z"), expected);
    }

    #[test]
    fn before_a_step_has_run_none_is_mentioned() {
        let event = Event { last_step: None, ..event() };
        let text = claims(&event, 1, "2026-01-08T08:35:39.581Z");
        assert!(text.contains(r#""sessionStatus":"COMPLETED"}}"#), "{text}");
        assert!(!text.contains("lastStep"), "{text}");
    }
}
