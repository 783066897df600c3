//! Many deliveries at once.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::prelude::*;

const DELIVERIES: usize = 1000;
/// At most this many connections at a time: a full backlog would test the kernel and not the adapters.
const CONNECTIONS: usize = 100;

/// Signing is the slow part, so all cases share these.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let provider = Provider::new();
    (0..DELIVERIES).map(|_| provider.token(&SampleEvent::completed())).collect()
});

/// Sends these from many connections at once, one after the other on each.
async fn answers(
    on: Target,
    stage: &Stage,
    tokens: impl Iterator<Item = String>,
    answered: &Calls,
) -> Vec<Answer> {
    let mut shares = vec![Vec::new(); CONNECTIONS];
    for (index, token) in tokens.enumerate() {
        shares[index % CONNECTIONS].push(token);
    }
    let address = stage.server.address();
    let start = Arc::new(tokio::sync::Barrier::new(CONNECTIONS));
    let clients: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (start, answered) = (Arc::clone(&start), answered.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(address, on.protocol).await;
                start.wait().await;
                let mut answers = Vec::new();
                for token in share {
                    answers.push(client.send(delivery(token)).await);
                    answered.note("");
                }
                answers
            })
        })
        .collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await.unwrap());
    }
    all
}

pub(crate) async fn a_thousand_events(on: Target) {
    let stage = Stage::new(on);
    let answers = answers(on, &stage, TOKENS.iter().cloned(), &Calls::new()).await;
    assert_eq!(answers, vec![Answer::accepted(); DELIVERIES]);
    let ids = stage.calls.ids();
    assert_eq!(ids.len(), DELIVERIES);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), DELIVERIES);
}

/// The handler waits until a part of the attempts has met it.
pub(crate) async fn a_thousand_attempts_of_one_event(on: Target) {
    let gate = Gate::closed();
    // The first is answered last, and on a slow machine after the usual 8 s.
    let stage = Stage::with(on, |receiver, calls| {
        receiver.answer_deadline(Duration::from_mins(1)).handlers(calls.router_behind(&gate))
    });
    let attempts = std::iter::repeat_n(TOKENS[0].clone(), DELIVERIES);
    let answered = Calls::new();
    let meet = async {
        answered.reach(CONNECTIONS).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(answers(on, &stage, attempts, &answered), meet);
    let in_progress = Answer::refused(503, "in_progress");
    let accepted = answers.iter().filter(|answer| **answer == Answer::accepted()).count();
    let refused = answers.iter().filter(|answer| **answer == in_progress).count();
    assert_eq!(accepted + refused, DELIVERIES, "{answers:?}");
    assert!(accepted > 0);
    assert!(refused >= CONNECTIONS);
    assert_eq!(stage.calls.count(), 1);
}

pub(crate) async fn a_thousand_forgeries_and_one_genuine_event(on: Target) {
    let stage = Stage::new(on);
    let forged = TOKENS.iter().map(|token| {
        let (signed, _) = token.rsplit_once('.').unwrap();
        format!("{signed}.AAAA")
    });
    let event = SampleEvent::completed();
    let answered = Calls::new();
    let (answers, genuine) = tokio::join!(answers(on, &stage, forged, &answered), stage.deliver(&event));
    assert_eq!(answers, vec![Answer::refused(401, "false_signature"); DELIVERIES]);
    assert_eq!(genuine, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}
