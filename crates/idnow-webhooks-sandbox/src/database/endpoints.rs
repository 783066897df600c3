//! Flows and endpoints: made, changed and deleted. What was deleted keeps its row, for the history.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::row::{decode, json, number, uuid};
use super::unit::{Fault, Unit, Work};
use crate::clock::time;
use crate::error::Error;
use crate::known::Known;
use crate::live::Change;
use crate::model::{DeliveryState, Endpoint, EndpointChange, Flow, Header, NewEndpoint, NewFlow, TokenPlace};
use crate::rules::{headers, names, url};

/// The most flows or endpoints that there can be: they are all kept in memory.
const MOST: usize = 10_000;

/// The values were checked.
#[derive(Debug)]
pub(crate) struct CreateFlow(pub(crate) NewFlow);

#[async_trait]
impl Work for CreateFlow {
    type Output = Flow;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Flow, Fault> {
        if unit.known.flows.len() >= MOST {
            return Err(
                Error::conflict(format!("there are {MOST} flows, which is the most: delete some")).into()
            );
        }
        let flow = Flow {
            id: Uuid::new_v4(),
            name: self.0.name.clone(),
            session_ttl_seconds: self.0.session_ttl_seconds,
            created_at: time(unit.now),
        };
        let row = sqlx::query("INSERT INTO flows (uuid, name, ttl, created_at) VALUES (?1, ?2, ?3, ?4)")
            .bind(flow.id.as_bytes().as_slice())
            .bind(&flow.name)
            .bind(i64::try_from(flow.session_ttl_seconds).unwrap_or(i64::MAX))
            .bind(unit.now)
            .execute(&mut *unit.connection)
            .await?
            .last_insert_rowid();
        unit.known_mut().flows.put(row, flow.id, flow.clone());
        unit.tell(|| Change::Flow { id: flow.id });
        Ok(flow)
    }
}

#[derive(Debug)]
pub(crate) struct DeleteFlow(pub(crate) Uuid);

#[async_trait]
impl Work for DeleteFlow {
    type Output = ();

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        let (row, _) = unit.known.flow(self.0)?;
        if unit.known.has_endpoints(self.0) {
            return Err(Error::conflict("the flow has endpoints: delete those first").into());
        }
        sqlx::query("UPDATE flows SET deleted_at = ?1 WHERE id = ?2")
            .bind(unit.now)
            .bind(row)
            .execute(&mut *unit.connection)
            .await?;
        unit.known_mut().flows.remove(self.0);
        unit.tell(|| Change::Flow { id: self.0 });
        Ok(())
    }
}

/// The values were checked.
#[derive(Debug)]
pub(crate) struct CreateEndpoint(pub(crate) NewEndpoint);

#[async_trait]
impl Work for CreateEndpoint {
    type Output = Endpoint;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Endpoint, Fault> {
        let new = &self.0;
        let (flow, _) = unit.known.flow(new.flow_id)?;
        if unit.known.endpoints.len() >= MOST {
            return Err(Error::conflict(format!(
                "there are {MOST} endpoints, which is the most: delete some"
            ))
            .into());
        }
        let now = time(unit.now);
        let endpoint = Endpoint {
            id: Uuid::new_v4(),
            flow_id: new.flow_id,
            environment: new.environment.clone(),
            url: new.url.clone(),
            description: new.description.clone(),
            headers: new.headers.clone(),
            events: new.events.clone(),
            enabled: new.enabled,
            token_place: new.token_place,
            concurrency: new.concurrency,
            created_at: now,
            updated_at: now,
        };
        let row = sqlx::query(
            "INSERT INTO endpoints (uuid, flow, environment, url, description, headers, events, enabled, in_header,
                                    concurrency, created_at, updated_at)
             VALUES (?1, ?2, ?3, 0, '', '', '', 0, 0, 0, ?4, ?4)",
        )
        .bind(endpoint.id.as_bytes().as_slice())
        .bind(flow)
        .bind(&endpoint.environment)
        .bind(unit.now)
        .execute(&mut *unit.connection)
        .await?
        .last_insert_rowid();
        save(unit, row, &endpoint).await?;
        Ok(endpoint)
    }
}

#[derive(Debug)]
pub(crate) struct ChangeEndpoint(pub(crate) Uuid, pub(crate) EndpointChange);

#[async_trait]
impl Work for ChangeEndpoint {
    type Output = Endpoint;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Endpoint, Fault> {
        let (row, current) = unit.known.endpoint(self.0)?;
        let changed = apply(current, &self.1)?;
        let changed = Endpoint { updated_at: time(unit.now), ..changed };
        save(unit, row, &changed).await?;
        Ok(changed)
    }
}

fn apply(current: &Endpoint, change: &EndpointChange) -> Result<Endpoint, Error> {
    let change = change.clone();
    let headers = match change.headers {
        Some(wanted) => headers::merge(&current.headers, wanted)?,
        None => current.headers.clone(),
    };
    let changed = Endpoint {
        url: change.url.unwrap_or_else(|| current.url.clone()),
        description: change.description.unwrap_or_else(|| current.description.clone()),
        headers,
        events: change.events.unwrap_or_else(|| current.events.clone()),
        enabled: change.enabled.unwrap_or(current.enabled),
        token_place: change.token_place.unwrap_or(current.token_place),
        concurrency: change.concurrency.unwrap_or(current.concurrency),
        ..current.clone()
    };
    // Whether plain http is allowed says a setting, and may have said so when it was saved.
    url::check(&changed.url, true)?;
    names::description(&changed.description)?;
    names::events(&changed.events)?;
    names::concurrency(changed.concurrency)?;
    Ok(changed)
}

async fn save(unit: &mut Unit<'_>, row: i64, endpoint: &Endpoint) -> Result<(), sqlx::Error> {
    let headers: Vec<_> = endpoint.headers.iter().map(|header| (&header.name, &header.value)).collect();
    let url = text(&mut *unit.connection, &endpoint.url).await?;
    sqlx::query(
        "UPDATE endpoints SET url = ?2, description = ?3, headers = ?4, events = ?5, enabled = ?6, in_header = ?7,
             concurrency = ?8, updated_at = ?9
         WHERE id = ?1",
    )
    .bind(row)
    .bind(url)
    .bind(&endpoint.description)
    .bind(json(&headers)?)
    .bind(json(&endpoint.events)?)
    .bind(endpoint.enabled)
    .bind(endpoint.token_place == TokenPlace::Header)
    .bind(endpoint.concurrency)
    .bind(endpoint.updated_at.timestamp_micros())
    .execute(&mut *unit.connection)
    .await?;
    unit.known_mut().put_endpoint(row, endpoint.clone());
    unit.wake(endpoint.id);
    unit.tell(|| Change::Endpoint { id: endpoint.id });
    Ok(())
}

/// By what is under way, and not by the endpoint, which may have had very many: that is what the plus is for.
pub(super) const END_UNDER_WAY: &str =
    "UPDATE deliveries SET state = 4, finished_at = ?1 WHERE state = 1 AND +endpoint = ?2 RETURNING id";

/// What waits for it is [swept](super::again::Sweep) afterwards.
#[derive(Debug)]
pub(crate) struct DeleteEndpoint(pub(crate) Uuid);

#[async_trait]
impl Work for DeleteEndpoint {
    type Output = ();

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        let (row, _) = unit.known.endpoint(self.0)?;
        // Secrets that nobody needs are not kept.
        sqlx::query("UPDATE endpoints SET deleted_at = ?1, headers = '[]' WHERE id = ?2")
            .bind(unit.now)
            .bind(row)
            .execute(&mut *unit.connection)
            .await?;
        let ended =
            sqlx::query(END_UNDER_WAY).bind(unit.now).bind(row).fetch_all(&mut *unit.connection).await?;
        let count = i64::try_from(ended.len()).unwrap_or_default();
        unit.outcome.tally.moved(DeliveryState::Sending, DeliveryState::EndpointDeleted, count);
        for row in &ended {
            let id = row.try_get(0)?;
            unit.tell(|| Change::Delivery { id });
        }
        unit.known_mut().remove_endpoint(self.0);
        unit.outcome.removed.push(self.0);
        unit.tell(|| Change::Endpoint { id: self.0 });
        Ok(())
    }
}

/// The number of a text that is used again and again.
pub(super) async fn text(connection: &mut SqliteConnection, text: &str) -> Result<i64, sqlx::Error> {
    let insert = "INSERT INTO texts (text) VALUES (?1) ON CONFLICT DO NOTHING";
    sqlx::query(insert).bind(text).execute(&mut *connection).await?;
    sqlx::query_scalar("SELECT id FROM texts WHERE text = ?1").bind(text).fetch_one(connection).await
}

/// All that there are.
pub(super) async fn load(connection: &mut SqliteConnection, known: &mut Known) -> Result<(), sqlx::Error> {
    let flows = "SELECT id, uuid, name, ttl, created_at FROM flows WHERE deleted_at IS NULL";
    for row in sqlx::query(flows).fetch_all(&mut *connection).await? {
        let flow = Flow {
            id: uuid(&row, 1)?,
            name: row.try_get(2)?,
            session_ttl_seconds: number(&row, 3)?,
            created_at: time(row.try_get(4)?),
        };
        known.flows.put(row.try_get(0)?, flow.id, flow);
    }
    let endpoints = "SELECT p.id, p.uuid, f.uuid, p.environment, t.text, p.description, p.headers, p.events, p.enabled,
             p.in_header, p.concurrency, p.created_at, p.updated_at
         FROM endpoints p JOIN flows f ON f.id = p.flow JOIN texts t ON t.id = p.url WHERE p.deleted_at IS NULL ORDER BY p.id";
    for row in sqlx::query(endpoints).fetch_all(connection).await? {
        known.put_endpoint(row.try_get(0)?, endpoint(&row)?);
    }
    Ok(())
}

fn endpoint(row: &SqliteRow) -> Result<Endpoint, sqlx::Error> {
    let headers: Vec<(String, String)> = serde_json::from_str(row.try_get(6)?).map_err(decode)?;
    let token_place = if row.try_get(9)? { TokenPlace::Header } else { TokenPlace::Body };
    Ok(Endpoint {
        id: uuid(row, 1)?,
        flow_id: uuid(row, 2)?,
        environment: row.try_get(3)?,
        url: row.try_get(4)?,
        description: row.try_get(5)?,
        headers: headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
        events: serde_json::from_str(row.try_get(7)?).map_err(decode)?,
        enabled: row.try_get(8)?,
        token_place,
        concurrency: number(row, 10)?,
        created_at: time(row.try_get(11)?),
        updated_at: time(row.try_get(12)?),
    })
}
