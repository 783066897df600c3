//! What is logged when settings are put to work: what they are, and what is dangerous about them.

use std::time::Duration;

use super::{Keys, Preset, Settings, Store};

/// The provider waits for 10 s; the way back takes some of it.
const LATEST_ANSWER: Duration = Duration::from_millis(9500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Queued,
    Inline,
}

impl Settings {
    /// One line, and one for each risk. `store` is what an operator knows the store by.
    pub(super) fn report(&self, mode: Mode, store: &str) {
        for risk in self.risks(mode) {
            tracing::warn!(target: "idnow_webhooks::settings", "{risk}");
        }
        let mode = match mode {
            Mode::Queued => "queued",
            Mode::Inline => "inline",
        };
        let (issuer, path) = (self.issuer.as_str(), self.path.as_str());
        let (audience, keys) = (self.audiences.join(", "), &self.keys);
        tracing::info!(
            target: "idnow_webhooks::settings",
            mode, store, issuer, audience, ?keys, path,
            "the receiver is set up"
        );
    }

    pub(super) fn risks(&self, mode: Mode) -> Vec<String> {
        let mut risks = Vec::new();
        if mode == Mode::Queued && matches!(self.store, Store::Memory) {
            risks.push(
                "events that were answered 200 are lost when this process ends: IDNOW_STORE is memory"
                    .to_owned(),
            );
        }
        if self.answer_deadline > LATEST_ANSWER {
            risks.push(format!(
                "IDNOW_ANSWER_DEADLINE_MS is {}, and the provider waits for 10 s: an answer that comes later counts as a \
                 failure, even if the event was stored",
                self.answer_deadline.as_millis()
            ));
        }
        let anybodys = self.expected_flows.is_empty() && self.required_headers.is_empty();
        if anybodys && self.is_production() {
            risks.push(
                "neither IDNOW_EXPECTED_FLOWS nor IDNOW_REQUIRED_HEADERS is set: anybody who configures an endpoint at \
                 the provider can enter this URL, so another customer could have genuine events of theirs sent here, and \
                 they would be accepted"
                    .to_owned(),
            );
        }
        risks
    }

    /// A shared secret is known to this endpoint alone; the provider's keys sign for all customers.
    fn is_production(&self) -> bool {
        let production = Some(Preset::Production);
        !matches!(self.keys, Keys::Secrets(_))
            && (self.environment == production || Preset::of(&self.issuer) == production)
    }
}
