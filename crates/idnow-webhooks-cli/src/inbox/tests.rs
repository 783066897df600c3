use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use idnow_webhooks::store::{
    Claim, EventFilter, EventState, EventStore, Evidence, MemoryStore, NewEvent, ParkLimits, ParkedToken,
    SessionOrder, StoreError, StoredEvent,
};
use idnow_webhooks_testkit::SampleEvent;

use super::arguments::{List, Parked};
use super::output::{Output, Progress};
use super::source::Source;
use super::{change, look, now, table, text};

const SESSION: &str = "6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11";

fn event(number: i64, state: EventState, error: Option<&str>) -> StoredEvent {
    StoredEvent {
        position: number,
        id: format!("00000000-0000-4000-8000-{number:012}"),
        name: Some("session.completed".into()),
        session_id: Some(SESSION.into()),
        sequence: 2,
        state,
        runs: 3,
        received_at: now() - TimeDelta::seconds(200),
        due_at: None,
        finished_at: None,
        error: error.map(Into::into),
        data: Some("{}".into()),
        evidence: None,
    }
}

/// Without colours.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_wide_terminal_shows_all_columns_and_cuts_the_error() {
    let error = "the handler failed: the database of the shop is not there, connection refused at last";
    let events = [event(2, EventState::Dead, Some(error)), event(1, EventState::Completed, None)];
    let coloured = table::events(&events, now(), Some(150));
    assert!(coloured.contains("\u{1b}["), "colours");
    assert_eq!(
        lines(&plain(&coloured)),
        [
            "STATE      AGE  EVENT                                 NAME               SESSION                               SEQ  RUNS  ERROR",
            "dead       3m   00000000-0000-4000-8000-000000000002  session.completed  6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11    2     3  the handler failed: the dat…",
            "completed  3m   00000000-0000-4000-8000-000000000001  session.completed  6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11    2     3",
        ]
    );
}

#[test]
fn a_narrow_terminal_leaves_the_session_out_and_keeps_the_id_whole() {
    let events = [event(2, EventState::Dead, Some(&"x".repeat(4000))), event(1, EventState::Running, None)];
    let shown = plain(&table::events(&events, now(), Some(80)));
    for line in lines(&shown) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    assert!(shown.contains("00000000-0000-4000-8000-000000000002"), "{shown}");
    assert!(!shown.contains("SESSION") && shown.contains("xxx…"), "{shown}");
    assert_eq!(lines(&shown).len(), 3, "one line for each: {shown}");
}

#[test]
fn without_errors_their_room_is_used() {
    let shown = plain(&table::events(&[event(1, EventState::Waiting, None)], now(), Some(80)));
    assert!(!shown.contains("ERROR") && shown.contains("session.completed"), "{shown}");
}

#[test]
fn a_pipe_gets_everything_whole() {
    let error = "x".repeat(4000);
    let shown = plain(&table::events(&[event(1, EventState::Dead, Some(&error))], now(), None));
    assert!(shown.contains(&error) && shown.contains(SESSION));
}

#[test]
fn hostile_texts_do_not_reach_the_terminal() {
    let mut hostile = event(1, EventState::Dead, Some("\u{1b}[2Jgone\u{9b}31m\r\nnew\u{202e}line"));
    hostile.name = Some("\u{1b}]0;title\u{7}".into());
    hostile.session_id = Some("a\u{200b}b".into());
    for width in [None, Some(200)] {
        let shown = plain(&table::events(&[hostile.clone()], now(), width));
        assert_eq!(lines(&shown).len(), 2);
        assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c)));
        assert!(shown.contains(r"\u{1b}[2Jgone\u{9b}31m\r\nnew\u{202e}line"), "{shown}");
    }
}

fn token(number: i64, reason: &str) -> ParkedToken {
    ParkedToken {
        event_id: Some(format!("00000000-0000-4000-8000-{number:012}")),
        code: "wrong_audience".into(),
        reason: reason.into(),
        ..ParkedToken::new(
            format!("id-{number}"),
            Evidence::new("aaa.bbb.ccc", None),
            now() - TimeDelta::seconds(200),
        )
    }
}

#[test]
fn a_table_of_parked_tokens_cuts_the_reason() {
    let mut unknown = token(2, "no \u{1b}[2J \n id");
    (unknown.event_id, unknown.code) = (None, "\u{202e}".into());
    let tokens = [token(1, "expected https://a.example/webhooks, and it is for https://b.example"), unknown];
    let shown = plain(&table::parked(&tokens, now(), Some(95)));
    assert_eq!(
        lines(&shown),
        [
            "AGE  ID    CODE            EVENT                                 REASON",
            "3m   id-1  wrong_audience  00000000-0000-4000-8000-000000000001  expected https://a.example/we…",
            "3m   id-2  \\u{202e}        -                                     no \\u{1b}[2J \\n id",
        ]
    );
    let whole = plain(&table::parked(&tokens, now(), None));
    assert!(whole.contains(&tokens[0].reason) && lines(&whole).len() == 3, "{whole}");
    for text in [shown, whole] {
        assert!(!text.contains("aaa.bbb.ccc"));
    }
}

#[tokio::test]
async fn a_list_of_parked_tokens_says_how_to_see_more() {
    let store = MemoryStore::new();
    for number in 1..=3 {
        store.park(token(number, "a reason"), ParkLimits::default()).await.unwrap();
    }
    let paper = Paper::default();
    let output = &mut Output::test(paper.clone(), None, false);
    look::parked(&store, &Parked { limit: 2, after: 0 }, now(), output).await.unwrap();
    let shown = paper.text();
    assert!(shown.contains("id-1") && shown.contains("id-2") && !shown.contains("id-3"), "{shown}");
    assert_eq!(shown.lines().last().unwrap(), "There are more: add --after 2");
    look::parked(&store, &Parked { limit: 2, after: 2 }, now(), output).await.unwrap();
    let shown = paper.text();
    assert!(lines(&shown).len() == 2 && shown.contains("id-3"), "{shown}");
    look::parked(&store, &Parked { limit: 2, after: 3 }, now(), output).await.unwrap();
    assert_eq!(paper.text(), "There are no such tokens.\n");
}

#[test]
fn json_is_made_safe_and_stays_the_same_json() {
    let value = serde_json::json!({ "a": "\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0041}ü😀" });
    let shown = text::json(&value).unwrap();
    assert!(shown.contains(r"\u001b[2J\u009b\u007f\u202e\udb40\udc41ü😀"), "{shown}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
}

#[test]
fn documents_are_laid_out_in_their_own_order() {
    assert_eq!(
        text::pretty(r#"{"b":1,"a":[true,null],"b":"\u001b"}"#),
        "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null\n  ],\n  \"b\": \"\\u001b\"\n}"
    );
    for broken in ["{\"a\":", "{} {}", "", "no \u{1b} JSON"] {
        assert_eq!(text::pretty(broken), text::line(broken));
    }
    // Deeper than any reader goes.
    let deep = "[".repeat(100_000);
    assert_eq!(text::pretty(&deep), deep);
}

#[test]
fn times_are_short() {
    for (seconds, expected) in
        [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (172_799, "47h"), (172_800, "2d")]
    {
        assert_eq!(text::short(Duration::from_secs(seconds)), expected);
    }
    let at = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let time = |ahead| text::time(at, at - TimeDelta::seconds(ahead));
    assert_eq!(time(-180), "2026-01-02T03:04:05.678Z (3m ago)");
    assert_eq!(time(180), "2026-01-02T03:04:05.678Z (in 3m)");
    assert_eq!(time(0), "2026-01-02T03:04:05.678Z (0s ago)");
    assert_eq!(text::age(at, at - TimeDelta::seconds(5)), "0s", "the store's clock is ahead");
}

#[test]
fn stores_are_named_without_their_passwords() {
    let find = |option: Option<&str>, variable: Option<&str>| {
        let variable = variable.map(|text| ("IDNOW_STORE".to_owned(), text.to_owned()));
        Source::find(option.map(Into::into), variable.into_iter().collect())
    };
    let shown = |option| find(Some(option), None).unwrap().to_string();
    assert_eq!(find(None, None).unwrap().to_string(), "idnow-webhooks.db");
    assert_eq!(find(None, Some("sqlite:a.db")).unwrap().to_string(), "a.db");
    assert_eq!(find(Some("sqlite:b.db"), Some("sqlite:a.db")).unwrap().to_string(), "b.db");
    assert_eq!(shown("postgres://me:hunter2@db.example/shop"), "the PostgreSQL database shop on db.example");
    assert_eq!(
        shown("postgres:///?host=db.example&user=me&password=hunter2"),
        "the PostgreSQL database of the user on the default host"
    );
    for (text, expected) in [
        ("memory", "inside of the server's process"),
        ("postgres:me:hunter2@db.example/shop", "expected sqlite:PATH"),
        ("mysql://me:hunter2@db.example/shop", "expected sqlite:PATH"),
        ("sqlite:", "expected sqlite:PATH"),
        ("sqlite:a.db?mode=ro", "without parameters"),
    ] {
        for error in [find(Some(text), None), find(None, Some(text))].map(Result::unwrap_err) {
            assert!(error.contains(expected) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(find(None, Some(text)).unwrap_err().starts_with("IDNOW_STORE "));
        assert!(find(Some(text), None).unwrap_err().starts_with("--store "));
    }
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        plain(&String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap())
    }
}

/// A store with so many dead letters, each with evidence.
async fn dead_letters(count: usize) -> MemoryStore {
    let store = MemoryStore::new();
    for number in 0..count {
        let sample = SampleEvent::completed().with_event_id(format!("event-{number}"));
        let mut event = NewEvent::from_json(&sample.data().to_string());
        event.evidence = Some(Arc::new(Evidence::new("aaa.bbb.ccc", Some(r#"{"kty":"RSA"}"#.into()))));
        store.insert(event).await.unwrap();
    }
    bury_all(&store).await;
    store
}

async fn bury_all(store: &MemoryStore) {
    let claim = Claim { limit: 1000, lease: Duration::from_secs(30), order: SessionOrder::Any };
    for claimed in store.claim(claim).await.unwrap() {
        store.bury(&claimed.lease, "no \u{1b}[2J luck").await.unwrap();
    }
}

#[tokio::test]
async fn a_list_says_how_to_see_more() {
    let store = dead_letters(3).await;
    let (paper, all) =
        (Paper::default(), store.list(&EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap());
    let output = &mut Output::test(paper.clone(), None, false);
    look::list(&store, list_of(2, None), now(), output).await.unwrap();
    let shown = paper.text();
    assert_eq!(lines(&shown).len(), 4, "{shown}");
    assert_eq!(shown.lines().last().unwrap(), format!("There are more: add --before {}", all[1].position));

    look::list(&store, list_of(2, Some(all[1].position)), now(), output).await.unwrap();
    let shown = paper.text();
    assert!(lines(&shown).len() == 2 && shown.contains(&all[2].id), "{shown}");

    look::list(&store, list_of(2, Some(all[2].position)), now(), output).await.unwrap();
    assert_eq!(paper.text(), "There are no such events.\n");
}

fn list_of(limit: usize, before: Option<i64>) -> List {
    List { state: None, name: None, session: None, limit, before }
}

fn progress(verb: &'static str) -> Progress {
    Progress::new(verb, None, &Output::test(io::sink(), None, true))
}

#[tokio::test]
async fn long_work_is_done_in_steps_and_ends() {
    let steps = Mutex::new(Vec::new());
    let full = async |limit| {
        steps.lock().unwrap().push(limit);
        Ok(limit)
    };
    assert_eq!(
        change::in_steps(progress("queued"), 100, 250, full).await.unwrap(),
        250,
        "although there seem to be more"
    );
    assert_eq!(*steps.lock().unwrap(), [100, 100, 50]);

    let left = Mutex::new(1100);
    let some = async |limit: usize| {
        let mut left = left.lock().unwrap();
        // Like stores that do less at once than they are asked for.
        let done = limit.min(200).min(*left);
        *left -= done;
        if done == 100 { Err(StoreError::unavailable("the disk is gone")) } else { Ok(done) }
    };
    let error = change::in_steps(progress("purged"), 500, usize::MAX, some).await.unwrap_err().to_string();
    assert_eq!(error, "the store is not available: the disk is gone; 1000 were purged before, and stay so");
}

#[tokio::test]
async fn all_dead_letters_are_retried_or_as_many_as_were_asked_for() {
    let store = dead_letters(250).await;
    let paper = Paper::default();
    let output = &mut Output::test(paper.clone(), None, false);
    assert!(change::retry_dead(&store, Some(1), output).await.unwrap());
    assert!(change::retry_dead(&store, None, output).await.unwrap());
    assert_eq!(paper.text(), "queued 1 dead letter\nqueued 249 dead letters\n");
    assert_eq!(store.backlog().await.unwrap().waiting, 250);
}

#[tokio::test]
async fn a_closed_pipe_ends_the_printing_but_not_the_work() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let store = dead_letters(2).await;
    let ids = ["event-0".to_owned(), "event-1".to_owned()];
    assert!(change::retry(&store, &ids, &mut Output::test(Closed, None, false)).await.unwrap());
    assert_eq!(store.backlog().await.unwrap().waiting, 2);
}

#[tokio::test]
async fn a_sheet_shows_evidence_and_no_escapes() {
    let store = dead_letters(1).await;
    let paper = Paper::default();
    look::show(&store, "event-0", now(), &mut Output::test(paper.clone(), None, false)).await.unwrap();
    let shown = paper.text();
    for expected in [
        "event      event-0\n",
        "state      dead\n",
        "runs       1\n",
        "error      no \\u{1b}[2J luck\n",
        "token      aaa.bbb.ccc\n",
        "\n  \"kty\": \"RSA\"\n",
        " ago)\n",
    ] {
        assert!(shown.contains(expected), "{expected:?} in {shown}");
    }
}
