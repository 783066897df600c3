//! From the bytes of a token to a typed, owned event, without any web framework.

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use idnow_webhooks_core::event::{Event, SessionCompleted};
use idnow_webhooks_core::{Clock, SystemClock, Verifier};

use crate::by_hand::{self, ByHand, JsonWebToken, ParsedKey};
use crate::fixture::{Handled, Pool, Signature, provider};
use crate::measure::{Effort, compare};
use crate::report::{Limit, Report};

const ROUNDS: usize = 2000;
const TOKENS: usize = 200;
/// Short turns, so that both sides of a pair meet the same machine.
const TURN: usize = 10;

pub fn run(effort: Effort, report: &mut Report) {
    let provider = provider(Signature::Rs256);
    let mut pool = Pool::sign(&provider, TOKENS);
    let tokens: Vec<Bytes> = (0..TOKENS).map(|_| pool.token()).collect();
    let keys = provider.key().key_set();
    let verifier =
        Verifier::builder().issuer(provider.issuer()).audience(provider.audience()).build().unwrap();
    let handled = Handled::default();
    let parsed = ParsedKey::new(&provider, Signature::Rs256, &handled);
    let jsonwebtoken = JsonWebToken::of(&provider, &handled);

    let raw = by_hand::rsa_key(&provider);
    let signed: Vec<(Vec<u8>, Vec<u8>)> = tokens
        .iter()
        .map(|token| {
            let (message, signature) = std::str::from_utf8(token).unwrap().rsplit_once('.').unwrap();
            (message.into(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        })
        .collect();

    Report::section(
        "token bytes to a typed, owned event, against the bare RS256 verification",
        "this",
        "bare",
    );
    let rounds = effort.rounds(ROUNDS);
    let reference = || {
        turn(&signed, |(message, signature)| {
            raw.verify_sig(message, signature).unwrap();
        })
    };
    let ours = turn(&tokens, |token| {
        let genuine = verifier.verify(token, &keys, SystemClock.now()).unwrap();
        let event: Event<SessionCompleted> = genuine.into_event().unwrap().read().unwrap();
        black_box(event);
    });
    report.row(
        "idnow-webhooks: verify, into_event, read",
        &compare(rounds, ours, reference()),
        Limit::Ratio(1.22),
    );
    let by_hand = turn(&tokens, |token| {
        black_box(parsed.verify(token).unwrap());
    });
    report.row("by hand, key parsed once", &compare(rounds, by_hand, reference()), Limit::None);
    let decode = turn(&tokens, |token| {
        black_box(jsonwebtoken.verify(token).unwrap());
    });
    report.row(
        "jsonwebtoken decode, DecodingKey built once",
        &compare(rounds, decode, reference()),
        Limit::None,
    );
    let decode_with_jwk = turn(&tokens, |token| {
        black_box(jsonwebtoken.verify_with_jwk(token).unwrap());
    });
    report.row(
        "jsonwebtoken decode, key from the JWK each time",
        &compare(rounds, decode_with_jwk, reference()),
        Limit::None,
    );
}

/// Makes a side that handles the next few items in every turn.
#[expect(clippy::cast_precision_loss, reason = "a small constant")]
fn turn<T>(items: &[T], mut one: impl FnMut(&T)) -> impl FnMut() -> f64 {
    let mut next = items.iter().cycle();
    move || {
        let started = Instant::now();
        for item in next.by_ref().take(TURN) {
            one(item);
        }
        started.elapsed().as_secs_f64() * 1e6 / TURN as f64
    }
}
