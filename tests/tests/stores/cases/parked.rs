//! Tokens that are genuine and do not fit the receiver's settings or clock.

use chrono::{DateTime, TimeDelta, Utc};

use super::prelude::*;
use super::strange::strange_ids;

const NEW: ParkOutcome = ParkOutcome::New { dropped: 0 };

/// A token for one audience, which differs from others in every text.
fn token_for(id: &str, audience: &str) -> ParkedToken {
    ParkedToken {
        issuer: "https://issuer.example".to_owned(),
        audience: audience.to_owned(),
        event_id: Some(format!("event of {id}")),
        event_name: Some("session.completed".to_owned()),
        code: "wrong_audience".to_owned(),
        reason: format!("expected another, seen {audience}"),
        ..ParkedToken::new(
            id,
            Evidence::new(format!("aaa.{id}.ccc"), Some(r#"{"kty":"RSA"}"#.to_owned())),
            "2026-01-08T08:35:39.123456Z".parse().unwrap(),
        )
    }
}

fn token(id: &str) -> ParkedToken {
    token_for(id, "https://a.example")
}

fn limits(per_audience: usize, in_all: usize) -> ParkLimits {
    ParkLimits { per_audience, in_all, ..ParkLimits::default() }
}

fn for_seconds(keep: u64) -> ParkLimits {
    ParkLimits { keep: seconds(keep), ..ParkLimits::default() }
}

async fn park(on: &Stage, token: ParkedToken) -> ParkOutcome {
    park_within(on, token, ParkLimits::default()).await
}

async fn park_within(on: &Stage, token: ParkedToken, limits: ParkLimits) -> ParkOutcome {
    on.store.park(token, limits).await.unwrap()
}

async fn parked(on: &Stage) -> Vec<ParkedToken> {
    on.store.parked(0, usize::MAX).await.unwrap()
}

/// The ids of all, the oldest first; and they are as many as the backlog says.
async fn ids_parked(on: &Stage) -> Vec<String> {
    let ids: Vec<_> = parked(on).await.into_iter().map(|token| token.id).collect();
    assert_eq!(on.store.backlog().await.unwrap().parked, ids.len() as u64);
    ids
}

pub(crate) async fn one_comes_back_as_it_was(on: Stage) {
    let full = ParkedToken { is_expected_flow: true, ..token("1") };
    let mut bare = ParkedToken::new("2", Evidence::new("aaa.bbb.ccc", None), DateTime::UNIX_EPOCH);
    bare.position = 77;
    assert_eq!(park(&on, full.clone()).await, NEW);
    assert_eq!(park(&on, bare.clone()).await, NEW);
    let found = parked(&on).await;
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert!(0 < first.position && first.position < second.position, "{found:?}");
    assert_eq!(*first, ParkedToken { position: first.position, ..full });
    assert_eq!(*second, ParkedToken { position: second.position, ..bare });
}

/// A later attempt of the same event has another token, and may be refused for another reason.
pub(crate) async fn one_is_kept_once_by_its_id(on: Stage) {
    park(&on, token("1")).await;
    let before = parked(&on).await;
    on.at(60);
    let again = ParkedToken { code: "expired".to_owned(), ..token_for("1", "https://b.example") };
    assert_eq!(park_within(&on, again, for_seconds(1)).await, ParkOutcome::Known);
    assert_eq!(parked(&on).await, before);
}

/// Nothing that is parked is an event, whatever its id.
pub(crate) async fn they_are_no_events(on: Stage) {
    park(&on, token("a")).await;
    on.claim_nothing().await;
    assert_eq!(on.all().await, [""; 0]);
    assert_eq!(on.replay("a").await, Replay::Unknown);
    assert_eq!(on.store.backlog().await.unwrap(), Backlog { parked: 1, ..Backlog::default() });
    on.completed("a").await;
    on.at(1);
    assert_eq!(on.purge(EventState::Dead, 0, 9).await, 0);
    assert_eq!(on.purge(EventState::Completed, 10, 9).await, 0);
    assert_eq!(ids_parked(&on).await, ["a"]);
}

pub(crate) async fn the_oldest_first_and_page_by_page(on: Stage) {
    let names: Vec<_> = (0..25).map(|number| format!("token {number}")).collect();
    for (number, id) in (0..).zip(&names) {
        // Whatever the receiver's clock says.
        let received_at = on.time(-number);
        park(&on, ParkedToken { received_at, ..token(id) }).await;
    }
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = on.store.parked(after, 4).await.unwrap();
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { break };
        after = last.position;
        for token in page {
            // As `inbox admit` does.
            assert!(on.store.unpark(&token.id).await.unwrap());
            seen.push(token.id);
        }
    }
    assert_eq!(seen, names);
    assert_eq!(ids_parked(&on).await, [""; 0]);
}

/// Otherwise a reader that pages through them would miss one.
pub(crate) async fn no_position_is_given_twice(mut on: Stage) {
    let mut last = 0;
    for number in 0..6 {
        let id = number.to_string();
        park(&on, token(&id)).await;
        let found = on.store.parked(last, 9).await.unwrap();
        assert_eq!(found.len(), 1, "after {last}");
        last = found[0].position;
        on.store.unpark(&id).await.unwrap();
        on.reopen().await;
    }
}

pub(crate) async fn pages_at_the_ends(on: Stage) {
    park(&on, token("1")).await;
    for (after, limit, expected) in
        [(i64::MIN, 9, 1), (-1, usize::MAX, 1), (0, 1, 1), (0, 0, 0), (i64::MAX, 9, 0)]
    {
        assert_eq!(on.store.parked(after, limit).await.unwrap().len(), expected, "{after}, {limit}");
    }
}

pub(crate) async fn one_is_unparked_once(on: Stage) {
    for id in ["1", "2"] {
        park(&on, token(id)).await;
    }
    assert!(on.store.unpark("1").await.unwrap());
    assert!(!on.store.unpark("1").await.unwrap());
    assert_eq!(ids_parked(&on).await, ["2"]);
    assert_eq!(park(&on, token("1")).await, NEW);
    assert_eq!(ids_parked(&on).await, ["2", "1"], "it came later");
}

pub(crate) async fn for_each_audience_a_number(on: Stage) {
    let b_of_another = ParkedToken { issuer: "https://other.example".to_owned(), ..token_for("o1", "b") };
    assert_eq!(park_within(&on, b_of_another, limits(2, 100)).await, NEW);
    assert_eq!(park_within(&on, token_for("a1", "a"), limits(2, 100)).await, NEW);
    assert_eq!(park_within(&on, token_for("b1", "b"), limits(2, 100)).await, NEW);
    assert_eq!(park_within(&on, token_for("a2", "a"), limits(2, 100)).await, NEW);
    assert_eq!(park_within(&on, token_for("a1", "a"), limits(2, 100)).await, ParkOutcome::Known);
    assert_eq!(park_within(&on, token_for("b2", "b"), limits(2, 100)).await, NEW);
    let dropped = |dropped| ParkOutcome::New { dropped };
    assert_eq!(park_within(&on, token_for("a3", "a"), limits(2, 100)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["o1", "b1", "a2", "b2", "a3"]);
    // What was dropped is not known any more.
    assert_eq!(park_within(&on, token_for("a1", "a"), limits(2, 100)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["o1", "b1", "b2", "a3", "a1"]);
    on.store.unpark("b1").await.unwrap();
    assert_eq!(park_within(&on, token_for("b3", "b"), limits(2, 100)).await, NEW);
}

/// Another customer of the provider can have tokens parked, for our audience or for many others. They do not drive ours out.
pub(crate) async fn those_of_expected_flows_are_dropped_last(on: Stage) {
    let ours = |id, audience| ParkedToken { is_expected_flow: true, ..token_for(id, audience) };
    let dropped = |dropped| ParkOutcome::New { dropped };
    assert_eq!(park_within(&on, ours("1", "a"), limits(3, 100)).await, NEW);
    assert_eq!(park_within(&on, token_for("2", "a"), limits(3, 100)).await, NEW);
    assert_eq!(park_within(&on, ours("3", "a"), limits(3, 100)).await, NEW);
    assert_eq!(park_within(&on, token_for("4", "a"), limits(3, 100)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["1", "3", "4"]);
    assert_eq!(park_within(&on, ours("5", "a"), limits(3, 100)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["1", "3", "5"]);
    // What was parked last stays, but no longer than until the next one comes.
    assert_eq!(park_within(&on, token_for("6", "a"), limits(3, 100)).await, dropped(1));
    assert_eq!(park_within(&on, token_for("7", "a"), limits(3, 100)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["3", "5", "7"]);
    // In all.
    assert_eq!(park_within(&on, token_for("8", "b"), limits(3, 4)).await, NEW);
    assert_eq!(park_within(&on, token_for("9", "c"), limits(3, 4)).await, dropped(1));
    assert_eq!(park_within(&on, ours("10", "d"), limits(3, 4)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["3", "5", "9", "10"]);
    assert_eq!(park_within(&on, ours("11", "d"), limits(3, 2)).await, dropped(3));
    assert_eq!(ids_parked(&on).await, ["10", "11"]);
    assert_eq!(park_within(&on, token_for("12", "e"), limits(0, 0)).await, dropped(2));
    assert_eq!(ids_parked(&on).await, ["12"]);
}

/// One that ends where another begins is another.
pub(crate) async fn pairs_are_taken_to_the_letter(on: Stage) {
    let pairs = [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc"), ("a ", "bc"), ("A", "bc"), ("a", " bc")];
    for (number, (issuer, audience)) in pairs.into_iter().enumerate() {
        let issuer = issuer.to_owned();
        let token = ParkedToken { issuer, ..token_for(&number.to_string(), audience) };
        assert_eq!(park_within(&on, token, limits(1, 100)).await, NEW);
    }
}

pub(crate) async fn a_number_in_all(on: Stage) {
    for number in 0..5 {
        let token = token_for(&number.to_string(), &format!("audience {number}"));
        assert_eq!(park_within(&on, token, limits(2, 5)).await, NEW);
    }
    let dropped = |dropped| ParkOutcome::New { dropped };
    assert_eq!(park_within(&on, token_for("5", "a"), limits(2, 5)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["1", "2", "3", "4", "5"]);
    // Those of the same audience go first, and count for both.
    assert_eq!(park_within(&on, token_for("6", "a"), limits(1, 5)).await, dropped(1));
    assert_eq!(ids_parked(&on).await, ["1", "2", "3", "4", "6"]);
    // With holes among their positions.
    on.store.unpark("3").await.unwrap();
    assert_eq!(park_within(&on, token_for("7", "b"), limits(2, 5)).await, NEW);
    assert_eq!(park_within(&on, token_for("8", "b"), limits(2, 3)).await, dropped(3));
    assert_eq!(ids_parked(&on).await, ["6", "7", "8"]);
}

/// The store's time, from when it was parked: the receiver's clock may be what is wrong.
pub(crate) async fn for_a_time(on: Stage) {
    for (at, id) in [(0, "1"), (10, "2"), (20, "3")] {
        on.at(at);
        let received_at = on.now() - TimeDelta::days(400 * (15 - at));
        assert_eq!(park(&on, ParkedToken { received_at, ..token(id) }).await, NEW);
    }
    on.at(29);
    assert_eq!(park_within(&on, token("4"), for_seconds(30)).await, NEW);
    on.at(30);
    assert_eq!(park_within(&on, token("4"), for_seconds(30)).await, ParkOutcome::Known);
    assert_eq!(ids_parked(&on).await, ["1", "2", "3", "4"], "nothing came in");
    assert_eq!(
        park_within(&on, token_for("5", "another"), for_seconds(30)).await,
        ParkOutcome::New { dropped: 1 }
    );
    assert_eq!(ids_parked(&on).await, ["2", "3", "4", "5"]);
    on.at(7 * 24 * 3600);
    assert_eq!(park(&on, token("6")).await, NEW);
    on.at(7 * 24 * 3600 + 20);
    assert_eq!(park(&on, token("7")).await, ParkOutcome::New { dropped: 2 });
    assert_eq!(ids_parked(&on).await, ["4", "5", "6", "7"]);
}

/// Too old, too many of the audience, and too many in all, in one call.
pub(crate) async fn for_all_reasons_at_once(on: Stage) {
    for (at, id, audience) in
        [(0, "old", "z"), (5, "first", "b"), (6, "a1", "a"), (7, "a2", "a"), (8, "c", "c")]
    {
        on.at(at);
        assert_eq!(park(&on, token_for(id, audience)).await, NEW);
    }
    on.at(12);
    let limits = ParkLimits { per_audience: 2, in_all: 3, keep: seconds(10) };
    assert_eq!(park_within(&on, token_for("a3", "a"), limits).await, ParkOutcome::New { dropped: 3 });
    assert_eq!(ids_parked(&on).await, ["a2", "c", "a3"]);
}

/// The limits are for the others.
pub(crate) async fn the_last_one_is_kept_whatever_the_limits(on: Stage) {
    let nothing = ParkLimits { per_audience: 0, in_all: 0, keep: Duration::ZERO };
    assert_eq!(park_within(&on, token("1"), nothing).await, NEW);
    assert_eq!(park_within(&on, token("2"), nothing).await, ParkOutcome::New { dropped: 1 });
    assert_eq!(ids_parked(&on).await, ["2"]);
}

pub(crate) async fn limits_that_are_never_reached(on: Stage) {
    let endless = ParkLimits { per_audience: usize::MAX, in_all: usize::MAX, keep: Duration::MAX };
    for number in 0..20 {
        on.at(number * 30 * 24 * 3600);
        assert_eq!(park_within(&on, token(&number.to_string()), endless).await, NEW);
    }
    assert_eq!(ids_parked(&on).await.len(), 20);
}

/// An event may be handled by a later attempt than the parked one. Once the store has forgotten that, the parked attempt
/// would be handled as a new event.
pub(crate) async fn none_outlasts_the_memory_of_completed_events(on: Stage) {
    park(&on, token("earlier attempt")).await;
    on.at(10);
    on.completed("event").await;
    on.at(20);
    park(&on, token("young")).await;
    on.at(3610);
    assert_eq!(on.purge(EventState::Dead, 3600, 9).await, 0);
    assert_eq!(on.purge(EventState::Completed, 3611, 9).await, 0);
    assert_eq!(ids_parked(&on).await, ["earlier attempt", "young"]);
    assert_eq!(on.purge(EventState::Completed, 3600, 9).await, 1, "tokens do not count");
    assert_eq!(ids_parked(&on).await, ["young"]);
    on.at(3619);
    assert_eq!(on.purge(EventState::Completed, 3600, 9).await, 0);
    assert_eq!(ids_parked(&on).await, ["young"]);
    on.at(3620);
    assert_eq!(on.purge(EventState::Completed, 3600, 9).await, 0);
    assert_eq!(ids_parked(&on).await, [""; 0]);
}

/// However many there are, and however few events one call may forget.
pub(crate) async fn a_purge_forgets_all_that_are_old_enough(on: Stage) {
    for number in 0..620 {
        park(&on, token(&number.to_string())).await;
    }
    on.completed("a").await;
    on.completed("b").await;
    on.at(1);
    park(&on, token("young")).await;
    assert_eq!(on.purge(EventState::Completed, 1, 1).await, 1);
    assert_eq!(ids_parked(&on).await, ["young"]);
    assert_eq!(on.purge(EventState::Completed, 0, 0).await, 0);
    assert_eq!(ids_parked(&on).await, [""; 0]);
}

/// Another clock than yesterday's must not lose anything, and not keep anything for ever.
pub(crate) async fn a_clock_that_goes_back(on: Stage) {
    on.at(3600);
    assert_eq!(park_within(&on, token("1"), for_seconds(60)).await, NEW);
    on.at(0);
    assert_eq!(park_within(&on, token("2"), for_seconds(60)).await, NEW);
    on.at(60);
    assert_eq!(park_within(&on, token("3"), for_seconds(60)).await, ParkOutcome::New { dropped: 1 });
    assert_eq!(ids_parked(&on).await, ["1", "3"], "by the time, and not by their order");
}

/// What another customer of the provider could have signed.
pub(crate) async fn strange_texts_are_kept_in_one_line(on: Stage) {
    let long = "long\0".repeat(20_000);
    let texts = [
        "",
        "a\u{0}b",
        "a\nb",
        "\u{1b}[2J",
        "'; DROP TABLE idnow_webhooks_parked; --",
        "$1 ? %s",
        "é😀",
        &long,
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let strange = ParkedToken {
            issuer: text.to_owned(),
            audience: text.to_owned(),
            event_id: Some(text.to_owned()),
            event_name: Some(text.to_owned()),
            code: text.to_owned(),
            reason: text.to_owned(),
            ..token(&number.to_string())
        };
        assert_eq!(park(&on, strange.clone()).await, NEW, "{text:?}");
        let kept = parked(&on).await.pop().unwrap();
        assert_eq!(kept, ParkedToken { position: kept.position, ..strange.bounded() });
    }
    assert_eq!(ids_parked(&on).await.len(), texts.len());
}

pub(crate) async fn ids_are_taken_to_the_letter(on: Stage) {
    let names = strange_ids();
    for id in &names {
        assert_eq!(park(&on, token(id)).await, NEW, "{id:?}");
    }
    for id in &names {
        assert_eq!(park(&on, token(id)).await, ParkOutcome::Known, "{id:?}");
    }
    assert_eq!(ids_parked(&on).await, names);
    for id in &names {
        assert!(on.store.unpark(id).await.unwrap(), "{id:?}");
    }
    park(&on, token("a")).await;
    for nothing in ["", "\0", "a\0", "b", "A", "a ", "%", &"x".repeat(100_000)] {
        assert!(!on.store.unpark(nothing).await.unwrap(), "{nothing:?}");
    }
    assert_eq!(ids_parked(&on).await, ["a"]);
}

pub(crate) async fn large_evidence_comes_back_whole(on: Stage) {
    let evidence = Evidence::new("é".repeat(256 * 1024), Some("{\"x5c\":\"\\u0000\"}".repeat(4096)));
    let token = ParkedToken { evidence: evidence.clone(), ..token("1") };
    park(&on, token).await;
    assert!(parked(&on).await.remove(0).evidence == evidence);
}

/// Several replicas receive the attempts of the same events.
pub(crate) async fn by_many_at_once(on: Stage) {
    let other = on.another().await;
    let parks = (0..200).map(|number| {
        let store = Arc::clone(if number % 2 == 0 { &on.store } else { &other });
        let token = token_for(&(number / 4).to_string(), &(number / 4 % 3).to_string());
        async move { store.park(token, ParkLimits::default()).await.unwrap() }
    });
    let outcomes = at_once(parks).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == NEW).count(), 50);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ParkOutcome::Known).count(), 150);
    let found: BTreeSet<_> = ids_parked(&on).await.into_iter().collect();
    assert_eq!(found, (0..50).map(|number| number.to_string()).collect());
}

/// However many do so at once, the limits hold, and each that is dropped is counted once.
pub(crate) async fn by_many_at_once_within_the_limits(on: Stage) {
    let other = on.another().await;
    let parks = (0..120).map(|number| {
        let store = Arc::clone(if number % 2 == 0 { &on.store } else { &other });
        let token = token_for(&number.to_string(), &(number % 4).to_string());
        async move { store.park(token, limits(5, 12)).await.unwrap() }
    });
    let mut dropped = 0;
    for outcome in at_once(parks).await {
        let ParkOutcome::New { dropped: some } = outcome else { panic!("{outcome:?}") };
        dropped += some;
    }
    assert_eq!((ids_parked(&on).await.len(), dropped), (12, 108));
    let found = parked(&on).await;
    for audience in 0..4 {
        assert!(found.iter().filter(|token| token.audience == audience.to_string()).count() <= 5);
    }
    assert!(found.is_sorted_by_key(|token| token.position));
}

/// Whoever goes by the position of the last one he has seen misses none, however many replicas park meanwhile.
pub(crate) async fn page_by_page_while_many_are_parked(on: Stage) {
    const EACH: usize = 60;
    let mut parks = Vec::new();
    for replica in 0..6 {
        let store = on.another().await;
        parks.push(tokio::spawn(async move {
            for number in 0..EACH {
                let token = token(&format!("{replica}/{number}"));
                // The lock on a file is not fair: it may fail one for too long.
                while store.park(token.clone(), ParkLimits::default()).await.is_err() {}
            }
        }));
    }
    let (mut after, mut seen) = (0, 0);
    loop {
        let all = parks.iter().all(tokio::task::JoinHandle::is_finished);
        let page = on.store.parked(after, 100).await.unwrap();
        seen += page.len();
        match page.last() {
            Some(last) => after = last.position,
            None if all => break,
            None => tokio::task::yield_now().await,
        }
    }
    at_once(parks.into_iter().map(|park| async { park.await.unwrap() })).await;
    assert_eq!(seen, 6 * EACH);
}

/// Two operators admit the same token: one of them has it.
pub(crate) async fn unparked_by_many_at_once(on: Stage) {
    let other = on.another().await;
    for number in 0..20 {
        park(&on, token(&number.to_string())).await;
    }
    let unparks = (0..80).map(|number| {
        let store = Arc::clone(if number % 2 == 0 { &on.store } else { &other });
        async move { store.unpark(&(number / 4).to_string()).await.unwrap() }
    });
    assert_eq!(at_once(unparks).await.into_iter().filter(|there| *there).count(), 20);
    assert_eq!(ids_parked(&on).await, [""; 0]);
}

pub(crate) async fn beside_insertions(on: Stage) {
    let calls = (0..200).map(|number| {
        let store = Arc::clone(&on.store);
        async move {
            let id = number.to_string();
            if number % 2 == 0 {
                assert_eq!(store.insert(event(&id)).await.unwrap(), Insertion::New);
            } else {
                store.park(token(&id), limits(10, 10)).await.unwrap();
            }
        }
    });
    at_once(calls).await;
    let backlog = on.store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.parked), (100, 10));
}

pub(crate) async fn what_one_parks_the_other_reads(on: Stage) {
    let other = on.another().await;
    park(&on, token("1")).await;
    assert_eq!(other.park(token("1"), ParkLimits::default()).await.unwrap(), ParkOutcome::Known);
    assert_eq!(other.parked(0, 9).await.unwrap(), parked(&on).await);
    assert!(other.unpark("1").await.unwrap());
    assert!(!on.store.unpark("1").await.unwrap());
}

/// A process ends, and the next one finds everything as it was.
pub(crate) async fn all_is_there_after_a_restart(mut on: Stage) {
    for id in ["1", "2", "3"] {
        park(&on, token(id)).await;
        on.advance(seconds(10));
    }
    on.store.unpark("2").await.unwrap();
    let before = parked(&on).await;
    on.reopen().await;
    assert_eq!(parked(&on).await, before);
    assert_eq!(park(&on, token("1")).await, ParkOutcome::Known);
    assert_eq!(park_within(&on, token("4"), for_seconds(30)).await, ParkOutcome::New { dropped: 1 });
    assert_eq!(ids_parked(&on).await, ["3", "4"]);
}

/// A delivery whose time is up leaves its token parked, or not.
pub(crate) async fn calls_that_are_dropped(on: Stage) {
    for number in 0..100_u64 {
        let id = number.to_string();
        let call = on.store.park(token(&id), limits(10, 10));
        drop(tokio::time::timeout(Duration::from_micros(number * 20), call).await);
        let outcome = park_within(&on, token(&id), limits(10, 10)).await;
        let known = parked(&on).await.into_iter().filter(|token| token.id == id).count();
        assert_eq!(known, 1, "{outcome:?}");
    }
    assert_eq!(ids_parked(&on).await, (90..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// The time of receipt is to the microsecond in every store.
pub(crate) async fn times_are_to_the_microsecond(on: Stage) {
    let received_at: DateTime<Utc> = "2026-01-08T08:35:39.123456789Z".parse().unwrap();
    park(&on, ParkedToken { received_at, ..token("1") }).await;
    assert_eq!(parked(&on).await[0].received_at, received_at - TimeDelta::nanoseconds(789));
}
