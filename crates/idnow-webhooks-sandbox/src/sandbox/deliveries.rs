use serde_json::Value;
use uuid::Uuid;

use super::Sandbox;
use super::pages::cut;
use crate::database::attempts::{self, Past};
use crate::database::deliveries::{self, Retrigger, RetriggerMany, RetriggerSome};
use crate::database::{STEP, events};
use crate::error::Error;
use crate::model::{Attempt, Delivery, DeliveryFilter, Page, PageRequest};
use crate::sender::Claims;

/// The most deliveries that can be named in one call.
const MOST: usize = 10_000;

/// # Deliveries
impl Sandbox {
    /// A delivery.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    pub async fn delivery(&self, id: i64) -> Result<Delivery, Error> {
        let database = self.database();
        let found = deliveries::by_id(&mut *database.reader().await?, id).await;
        found.map_err(|error| database.failure(error))?.ok_or_else(|| Error::not_found("delivery", id))
    }

    /// The deliveries that the filter lets through, the newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the page is none.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Delivery>, Error> {
        let (cut, database) = (cut(&page)?, self.database());
        let mut reader = database.reader().await?;
        let found = deliveries::list(&mut reader, &filter, cut.before, cut.with_one_more()).await;
        let found = found.map_err(|error| database.failure(error))?;
        Ok(cut.page(found.into_iter().map(|delivery| (delivery.id, delivery))))
    }

    /// The attempts of a delivery, the first one first. One that is under way is the last.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such delivery.
    pub async fn attempts(&self, delivery: i64) -> Result<Vec<Attempt>, Error> {
        self.delivery(delivery).await?;
        let database = self.database();
        let found = attempts::of_delivery(&mut *database.reader().await?, delivery).await;
        let found = found.map_err(|error| database.failure(error))?;
        Ok(found.into_iter().map(|past| past.attempt).collect())
    }

    async fn past(&self, delivery: i64, attempt: u32) -> Result<Past, Error> {
        self.delivery(delivery).await?;
        let database = self.database();
        let found = attempts::of_delivery(&mut *database.reader().await?, delivery).await;
        let found = found.map_err(|error| database.failure(error))?;
        let past = found.into_iter().find(|past| past.attempt.number == attempt);
        past.ok_or_else(|| Error::not_found("attempt", format!("{delivery}/{attempt}")))
    }

    /// The claims of the token of an attempt. Tokens are not kept: this makes the same claims again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such attempt.
    pub async fn claims(&self, delivery: i64, attempt: u32) -> Result<Value, Error> {
        let past = self.past(delivery, attempt).await?;
        let database = self.database();
        let event = events::of_delivery(&mut *database.reader().await?, delivery).await;
        let event = event.map_err(|error| database.failure(error))?;
        let event = event.ok_or_else(|| Error::not_found("delivery", delivery))?;
        let Attempt { started_at, url, .. } = &past.attempt;
        let claims = Claims::new(&event, attempt, *started_at, &past.issuer, url);
        serde_json::to_value(claims)
            .map_err(|error| Error::unavailable_because("the claims could not be written", error))
    }

    /// The header of the token of an attempt.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such attempt.
    pub async fn token_header(&self, delivery: i64, attempt: u32) -> Result<Value, Error> {
        let past = self.past(delivery, attempt).await?;
        let known = self.database().now_known();
        let key = known.key(past.key).ok_or_else(|| Error::not_found("key", &past.attempt.key_id))?;
        Ok(key.key.header())
    }

    /// Brings a dead letter back: it is due at once, and has all its retries again. The number of its attempts goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if it is no dead letter, or its endpoint was deleted.
    pub async fn retrigger(&self, id: i64) -> Result<Delivery, Error> {
        self.database().write(Retrigger(id)).await
    }

    /// Brings back those of these that are dead letters, and says how many they were.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are more than 10,000.
    pub async fn retrigger_many(&self, ids: &[i64]) -> Result<u64, Error> {
        if ids.len() > MOST {
            return Err(Error::invalid("ids", "there must be at most 10,000"));
        }
        self.database().write(RetriggerMany(ids.to_vec())).await
    }

    /// Brings back all dead letters that an endpoint has now, and says how many they were. If it fails, or the caller goes away,
    /// some of them may have come back.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such endpoint.
    pub async fn retrigger_endpoint(&self, id: Uuid) -> Result<u64, Error> {
        let (mut all, mut rest): (u64, _) = (0, None);
        loop {
            let some = RetriggerSome { endpoint: id, limit: STEP, rest };
            match self.database().write(some).await? {
                (0, _) => return Ok(all),
                (count, left) => {
                    all = all.saturating_add(count);
                    rest = Some(left);
                }
            }
        }
    }
}
