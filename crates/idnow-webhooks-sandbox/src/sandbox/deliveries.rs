use serde_json::Value;
use uuid::Uuid;

use super::Sandbox;
use super::pages::cut;
use crate::database::again::{Retrigger, RetriggerMany, RetriggerSome};
use crate::database::attempts::{self, Past};
use crate::database::{STEP, deliveries, events};
use crate::error::Error;
use crate::keys;
use crate::model::{Attempt, Delivery, DeliveryFilter, Page, PageRequest};
use crate::sender::Data;

/// The most deliveries that can be named in one call.
const MOST_NAMED: usize = 1000;

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

    /// The attempts of a delivery, the last one first. That may be under way.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such delivery, [`Error::Invalid`] if the page is none.
    pub async fn attempts(&self, delivery: i64, page: PageRequest) -> Result<Page<Attempt>, Error> {
        let (cut, database) = (cut(&page)?, self.database());
        self.delivery(delivery).await?;
        let mut reader = database.reader().await?;
        let found = attempts::list(&mut reader, delivery, cut.before, cut.with_one_more()).await;
        let found = found.map_err(|error| database.failure(error))?;
        Ok(cut.page(found.into_iter().map(|past| (past.attempt.number.into(), past.attempt))))
    }

    async fn past(&self, delivery: i64, attempt: u32) -> Result<Past, Error> {
        self.delivery(delivery).await?;
        let database = self.database();
        let after = i64::from(attempt).saturating_add(1);
        let found = attempts::list(&mut *database.reader().await?, delivery, after, 1).await;
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
        let Attempt { url, .. } = &past.attempt;
        let claims = Data::claims(&event, attempt, past.attempt.told_time(), &past.issuer, url);
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
        Ok(keys::header(&past.attempt.key_id))
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
    /// [`Error::Invalid`] if there are none, or more than 1,000.
    pub async fn retrigger_many(&self, ids: &[i64]) -> Result<u64, Error> {
        if ids.is_empty() || ids.len() > MOST_NAMED {
            return Err(Error::invalid("ids", format!("name 1 to {MOST_NAMED} deliveries")));
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
