use uuid::Uuid;

use super::Sandbox;
use super::pages::cut;
use crate::clock::micros;
use crate::database::sessions::{self, Create, Drive};
use crate::database::{events, ids};
use crate::error::Error;
use crate::model::{
    Event, NewSession, Page, PageRequest, Scenario, ScenarioKind, Session, SessionFilter, Step,
};
use crate::rules::names;
use crate::sessions::run;

/// The most sessions of one scenario.
const MOST: u32 = 10_000;
/// How many sessions of a scenario one transaction makes.
const STEP: usize = 250;
const STORM: u32 = 1000;

/// # Sessions and events
impl Sandbox {
    /// Makes a session: `session.created`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] says which value is wrong, [`Error::NotFound`] that there is no such flow.
    pub async fn create_session(&self, new: NewSession) -> Result<Session, Error> {
        let mut created = self.create(new, vec![&[]]).await?;
        created.pop().ok_or_else(|| Error::unavailable("no session was made"))
    }

    async fn create(&self, new: NewSession, runs: Vec<&'static [Step]>) -> Result<Vec<Session>, Error> {
        names::environment(&new.environment)?;
        let ttl = if let Some(seconds) = new.ttl_seconds {
            names::ttl("ttlSeconds", seconds)?
        } else {
            let known = self.database().now_known();
            let (_, flow) = known.flow(new.flow_id)?;
            names::ttl("sessionTtlSeconds", flow.session_ttl_seconds)?
        };
        let ttl = micros(self.state().settings().scaled(ttl));
        let create = Create { flow: new.flow_id, environment: new.environment, ttl, runs };
        self.database().write(create).await
    }

    /// A session.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    pub async fn session(&self, id: Uuid) -> Result<Session, Error> {
        let database = self.database();
        let found = sessions::by_id(&mut *database.reader().await?, id).await;
        found.map_err(|error| database.failure(error))?.ok_or_else(|| Error::not_found("session", id))
    }

    /// The sessions that the filter lets through, the newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the page is none.
    pub async fn sessions(&self, filter: SessionFilter, page: PageRequest) -> Result<Page<Session>, Error> {
        let (cut, database) = (cut(&page)?, self.database());
        let mut reader = database.reader().await?;
        let found = sessions::list(&mut reader, &filter, cut.before, 0, cut.with_one_more()).await;
        Ok(cut.page(found.map_err(|error| database.failure(error))?))
    }

    /// The sessions that the filter lets through, the newest first, without the first `offset`; and how many there are in
    /// all. A limit above 500 is 500.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the database cannot be read.
    pub async fn sessions_at(
        &self,
        filter: SessionFilter,
        offset: u64,
        limit: u16,
    ) -> Result<(Vec<Session>, u64), Error> {
        let database = self.database();
        let mut reader = database.reader().await?;
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let read = async {
            let count = sessions::count(&mut reader, &filter).await?;
            let found =
                sessions::list(&mut reader, &filter, i64::MAX, offset, limit.min(PageRequest::MOST).into())
                    .await?;
            Ok((found.into_iter().map(|(_, session)| session).collect(), count))
        };
        read.await.map_err(|error| database.failure(error))
    }

    /// Lets something happen to a session. One whose time is up expires instead.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] says why it cannot happen as the session is.
    pub async fn drive(&self, id: Uuid, step: Step) -> Result<Session, Error> {
        self.database().write(Drive { session: id, step }).await?
    }

    /// Runs sessions from their beginning to their end, and gives their ids. If it fails, or the caller goes away, the
    /// first of them may have run.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] says which value is wrong, [`Error::NotFound`] that there is no such flow.
    pub async fn play(&self, scenario: Scenario) -> Result<Vec<Uuid>, Error> {
        let usual = if scenario.kind == ScenarioKind::Storm { STORM } else { 1 };
        let count = scenario.sessions.unwrap_or(usual);
        if !(1..=MOST).contains(&count) {
            return Err(Error::invalid("sessions", "there must be between 1 and 10,000"));
        }
        let runs: Vec<_> = (0..count).map(|number| run(scenario.kind, number)).collect();
        let mut ids = Vec::with_capacity(runs.len());
        for runs in runs.chunks(STEP) {
            let new = NewSession {
                flow_id: scenario.flow_id,
                environment: scenario.environment.clone(),
                ttl_seconds: None,
            };
            ids.extend(self.create(new, runs.to_vec()).await?.into_iter().map(|session| session.id));
        }
        Ok(ids)
    }

    /// An event.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    pub async fn event(&self, id: Uuid) -> Result<Event, Error> {
        let database = self.database();
        let found = events::by_id(&mut *database.reader().await?, id).await;
        found.map_err(|error| database.failure(error))?.ok_or_else(|| Error::not_found("event", id))
    }

    /// The events of a session, or all; the newest first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such session, [`Error::Invalid`] if the page is none.
    pub async fn events(&self, session: Option<Uuid>, page: PageRequest) -> Result<Page<Event>, Error> {
        let (cut, database) = (cut(&page)?, self.database());
        if let Some(session) = session {
            self.session(session).await?;
        }
        let mut reader = database.reader().await?;
        let found =
            events::list(&mut reader, session.map(ids::row_of), cut.before, cut.with_one_more()).await;
        Ok(cut.page(found.map_err(|error| database.failure(error))?))
    }
}
