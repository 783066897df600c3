//! What chaos did to an attempt.

use super::rows::ShownAnswer;
use super::show::{Badge, Tone};
use crate::chaos::{Fault, Inflicted};
use crate::model::Answer;

/// A fault of an attempt.
#[derive(Debug, Clone)]
pub(crate) struct ShownFault {
    pub(crate) text: String,
    /// To the request that was sent besides the genuine one.
    pub(crate) answer: Option<ShownAnswer>,
}

impl ShownFault {
    pub(crate) fn new(inflicted: &Inflicted) -> Self {
        let Inflicted { fault, seconds, answer } = inflicted;
        let text = match fault {
            Fault::Duplicate => "the same request was sent a second time",
            Fault::Lost => "the answer got lost",
            Fault::Reorder => "it was held until the next event of the session was there",
            Fault::Delay => "it was held for a while",
            Fault::Drop => "the connection was closed before the answer",
            Fault::Half => "half of the body was sent",
            Fault::Slow => "the body came slowly",
            Fault::Skew => "the clock of the token was wrong",
            Fault::Rotate => "the keys were rotated right before it",
            Fault::Burst => "it was held to be sent with others",
            Fault::Corrupt => "before it, a token with a wrong signature",
            Fault::Expired => "before it, a token that had expired",
            Fault::Unknown => "before it, a token by a key that was never published",
            Fault::Retired => "before it, a token by a retired key",
            Fault::Future => "before it, a token from the future",
        };
        let by = seconds.map(|seconds| format!(" by {seconds} s")).unwrap_or_default();
        Self { text: format!("{text}{by}"), answer: answer.as_ref().map(|answer| shown(*fault, answer)) }
    }
}

/// A forgery that was accepted is bad, and one that was refused is good.
fn shown(fault: Fault, answer: &Answer) -> ShownAnswer {
    let shown = ShownAnswer::new(answer);
    let accepted = matches!(answer, Answer::Status { code: 200..300, .. });
    let tone = match (fault.is_forgery(), answer) {
        (true, Answer::Status { .. }) if fault != Fault::Retired || !accepted => {
            if accepted {
                Tone::Bad
            } else {
                Tone::Good
            }
        }
        (true, _) => Tone::Off,
        (false, _) => return shown,
    };
    ShownAnswer { badge: Badge::new(tone, shown.badge.text().to_owned()), ..shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_forgery_is_bad_and_a_refused_one_is_good() {
        let tone = |fault, code| {
            let answer = Answer::Status { code, body: String::new() };
            ShownFault::new(&Inflicted::answered(fault, answer)).answer.unwrap().badge.tone
        };
        assert_eq!(tone(Fault::Corrupt, 200), Tone::Bad);
        assert_eq!(tone(Fault::Corrupt, 401), Tone::Good);
        assert_eq!(tone(Fault::Retired, 200), Tone::Off);
        assert_eq!(tone(Fault::Duplicate, 200), Tone::Good);
        assert_eq!(tone(Fault::Duplicate, 503), Tone::Bad);
        let skew = Inflicted { seconds: Some(-7), ..Inflicted::new(Fault::Skew) };
        assert_eq!(ShownFault::new(&skew).text, "the clock of the token was wrong by -7 s");
    }
}
