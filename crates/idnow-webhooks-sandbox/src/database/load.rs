//! What is read when a database is opened.

use sqlx::{Row as _, SqliteConnection};

use super::codes::Code as _;
use super::tally::Tally;
use super::unit::{Fault, Numbers};
use super::{endpoints, keys};
use crate::known::Known;
use crate::model::{DeliveryState, SessionStatus};

pub(super) struct Loaded {
    pub(super) known: Known,
    pub(super) numbers: Numbers,
    pub(super) tally: Tally,
}

pub(super) async fn load(connection: &mut SqliteConnection) -> Result<Loaded, Fault> {
    let mut known = Known::default();
    endpoints::load(&mut *connection, &mut known).await?;
    keys::load(&mut *connection, &mut known).await??;
    let mut tally = Tally::default();
    for row in
        sqlx::query("SELECT status, count(*) FROM sessions GROUP BY 1").fetch_all(&mut *connection).await?
    {
        tally.sessions(SessionStatus::decode(row.try_get(0)?)?, row.try_get(1)?);
    }
    for row in
        sqlx::query("SELECT state, count(*) FROM deliveries GROUP BY 1").fetch_all(&mut *connection).await?
    {
        tally.deliveries(DeliveryState::decode(row.try_get(0)?)?, row.try_get(1)?);
    }
    let next = "SELECT 1 + max(session, (SELECT coalesce(max(id), 0) FROM sessions)),
                       1 + max(event, (SELECT coalesce(max(id), 0) FROM events)),
                       1 + max(delivery, (SELECT coalesce(max(id), 0) FROM deliveries)) FROM gone";
    let next = sqlx::query(next).fetch_one(connection).await?;
    let numbers = Numbers { session: next.try_get(0)?, event: next.try_get(1)?, delivery: next.try_get(2)? };
    Ok(Loaded { known, numbers, tally })
}
