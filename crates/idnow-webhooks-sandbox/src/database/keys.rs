//! Keys in the database, and who may use the session API.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::codes::Code as _;
use super::unit::{Fault, Unit, Work};
use crate::builder::Client;
use crate::clock::time;
use crate::error::Error;
use crate::keys::{KeyEntry, SigningKey};
use crate::known::Known;
use crate::live::Change;
use crate::model::{Key, KeyState};

/// The most keys that there can be, and that are published.
const MOST: usize = 1000;

/// Makes a key the active one. The one before stays published.
pub(crate) struct Activate {
    pub(crate) kid: String,
    pub(crate) pkcs8: Vec<u8>,
}

#[async_trait]
impl Work for Activate {
    type Output = Key;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Key, Fault> {
        if unit.known.keys.len() >= MOST {
            return Err(Error::conflict(format!("there are {MOST} keys, which is the most")).into());
        }
        // It is read before anything is written: one that cannot be read refuses itself.
        let row =
            unit.known.keys.iter().map(|entry| entry.key.row).max().unwrap_or_default().saturating_add(1);
        let key = SigningKey::from_pkcs8(row, self.kid.clone(), &self.pkcs8)?;
        let entry = KeyEntry { key: Arc::new(key), state: KeyState::Active, created_at: time(unit.now) };
        sqlx::query("UPDATE keys SET state = 1 WHERE state = 0").execute(&mut *unit.connection).await?;
        sqlx::query("INSERT INTO keys (id, kid, pkcs8, state, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")
            .bind(row)
            .bind(&self.kid)
            .bind(&self.pkcs8)
            .bind(KeyState::Active.code())
            .bind(unit.now)
            .execute(&mut *unit.connection)
            .await?;
        let shown = entry.shown();
        let keys = &mut unit.known_mut().keys;
        let mut changed = vec![self.kid.clone()];
        for other in keys.iter_mut().filter(|entry| entry.state == KeyState::Active) {
            other.state = KeyState::Published;
            changed.push(other.key.id.clone());
        }
        keys.push(entry);
        for id in changed {
            unit.tell(|| Change::Key { id });
        }
        Ok(shown)
    }
}

/// Publishes a key no more.
#[derive(Debug)]
pub(crate) struct Retire(pub(crate) String);

#[async_trait]
impl Work for Retire {
    type Output = Key;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Key, Fault> {
        let entry = unit.known.keys.iter().find(|entry| entry.key.id == self.0);
        let entry = entry.ok_or_else(|| Error::not_found("key", &self.0))?;
        if entry.state == KeyState::Active {
            return Err(Error::conflict("the key is the active one: rotate first").into());
        }
        sqlx::query("UPDATE keys SET state = ?1 WHERE id = ?2")
            .bind(KeyState::Retired.code())
            .bind(entry.key.row)
            .execute(&mut *unit.connection)
            .await?;
        let mut shown = entry.shown();
        shown.state = KeyState::Retired;
        for entry in unit.known_mut().keys.iter_mut().filter(|entry| entry.key.id == self.0) {
            entry.state = KeyState::Retired;
        }
        unit.tell(|| Change::Key { id: self.0.clone() });
        Ok(shown)
    }
}

/// The client of a database for which none was set, made once.
pub(crate) struct OwnClient;

#[async_trait]
impl Work for OwnClient {
    type Output = Client;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Client, Fault> {
        let found =
            sqlx::query("SELECT id, secret FROM clients LIMIT 1").fetch_optional(&mut *unit.connection);
        if let Some(row) = found.await? {
            return Ok(Client::new(row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
        }
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|error| Error::unavailable_because("the system gave no random bytes", error))?;
        let secret = URL_SAFE_NO_PAD.encode(random);
        let client = Client::new(format!("sandbox-{}", Uuid::new_v4().simple()), secret);
        sqlx::query("INSERT INTO clients (id, secret) VALUES (?1, ?2)")
            .bind(&client.id)
            .bind(&client.secret)
            .execute(&mut *unit.connection)
            .await?;
        Ok(client)
    }
}

/// All that there are. The inner error is of a key that cannot be read.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    known: &mut Known,
) -> Result<Result<(), Error>, sqlx::Error> {
    let keys = "SELECT id, kid, pkcs8, state, created_at FROM keys ORDER BY id";
    for row in sqlx::query(keys).fetch_all(connection).await? {
        let key = match SigningKey::from_pkcs8(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?) {
            Ok(key) => Arc::new(key),
            Err(error) => return Ok(Err(error)),
        };
        let state = KeyState::decode(row.try_get(3)?)?;
        known.keys.push(KeyEntry { key, state, created_at: time(row.try_get(4)?) });
    }
    Ok(Ok(()))
}
