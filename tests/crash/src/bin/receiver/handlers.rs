use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use idnow_webhooks_core::event::RawEvent;
use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_core::{EventRouter, HandlerResult};
use idnow_webhooks_crash::{Action, Chance, Journal, LONG};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_sqlite::SqliteStore;
use serde::Deserialize;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Handler {
    None,
    Append,
    Count,
    Slow,
}

impl Handler {
    /// `None` for no worker.
    pub(crate) fn router<S>(self, store: &S, journal: &Arc<Journal>, lease: Duration) -> Option<EventRouter>
    where
        S: Counts + EventStore + Clone,
    {
        let (store, journal) = (store.clone(), Arc::clone(journal));
        let router = EventRouter::new();
        Some(match self {
            Self::None => return None,
            Self::Append => router.on_any(move |event| {
                let noted = journal.note(Action::Start, &event.id, "-");
                async move { Ok(noted?) }
            }),
            Self::Count => router.on_any(move |event| {
                let store = store.clone();
                async move { store.count(&event).await }
            }),
            Self::Slow => router.on_any(move |event| slow(event, Arc::clone(&journal), lease)),
        })
    }
}

/// A store in whose transaction a handler can count.
pub(crate) trait Counts {
    /// Counts an event, with no protection against counting it twice but the transaction.
    fn count(&self, event: &RawEvent) -> impl Future<Output = HandlerResult> + Send;
}

impl Counts for SqliteStore {
    async fn count(&self, event: &RawEvent) -> HandlerResult {
        let mut transaction = self.transaction(event).await?;
        sqlx::query("UPDATE counter SET n = n + 1").execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO handled SELECT ?, CAST(synchronous AS TEXT) FROM pragma_synchronous")
            .bind(&event.id)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }
}

impl Counts for PostgresStore {
    async fn count(&self, event: &RawEvent) -> HandlerResult {
        let mut transaction = self.transaction(event).await?;
        sqlx::query("UPDATE counter SET n = n + 1").execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO handled VALUES ($1, current_setting('synchronous_commit'))")
            .bind(&event.id)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }
}

/// Takes its time, longer than a lease for some.
async fn slow(event: RawEvent, journal: Arc<Journal>, lease: Duration) -> HandlerResult {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Payload {
        session_id: String,
    }
    let Payload { session_id: session } = serde_json::from_str(event.payload.get())?;
    let mut chance = Chance::new(RandomState::new().hash_one(&event.id));
    let long = session.starts_with(LONG);
    let time = if long { lease.mul_f64(1.5).min(LONGEST) } else { chance.millis(2, 60) };
    let run = Noted::begin(journal, event.id, session)?;
    tokio::time::sleep(time).await;
    Ok(run.end()?)
}

/// Where leases last for minutes.
const LONGEST: Duration = Duration::from_secs(5);

/// A run in the journal, also if it is stopped.
struct Noted {
    journal: Arc<Journal>,
    event: String,
    session: String,
    ended: bool,
}

impl Noted {
    fn begin(journal: Arc<Journal>, event: String, session: String) -> io::Result<Self> {
        journal.note(Action::Start, &event, &session)?;
        Ok(Self { journal, event, session, ended: false })
    }

    fn end(mut self) -> io::Result<()> {
        self.ended = true;
        self.journal.note(Action::End, &self.event, &self.session)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = self.journal.note(Action::Dropped, &self.event, &self.session)
        {
            complain(&error);
        }
    }
}

/// The test fails for want of the line, and this says why.
#[expect(clippy::print_stderr, reason = "standard error is the log")]
fn complain(error: &io::Error) {
    eprintln!("the journal cannot be written: {error}");
}
