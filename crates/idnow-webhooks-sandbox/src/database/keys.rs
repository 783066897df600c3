//! Keys in the database, and who may use the session API.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{Row as _, SqliteConnection};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::Database;
use super::codes::Code as _;
use super::unit::{Fault, Unit, Work};
use crate::clock::time;
use crate::error::Error;
use crate::keys::{KeyEntry, PublicKey, SigningKey, generate};
use crate::known::Known;
use crate::live::Change;
use crate::model::{Key, KeyState};

/// The most keys that are published. Receivers need not read more, and ours does not.
const MOST: usize = 100;

/// Signs with a new key from now on.
pub(crate) async fn activate_new(database: &Database) -> Result<Key, Error> {
    let generated = spawn_blocking(generate).await;
    let (kid, pkcs8) =
        generated.map_err(|error| Error::unavailable_because("a new key could not be made", error))??;
    database.write(Activate { kid, pkcs8 }).await
}

/// Makes a key the active one. The one before stays published.
pub(crate) struct Activate {
    pub(crate) kid: String,
    pub(crate) pkcs8: Vec<u8>,
}

#[async_trait]
impl Work for Activate {
    type Output = Key;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Key, Fault> {
        let published = unit.known.keys.iter().filter(|entry| entry.state != KeyState::Retired).count();
        if published >= MOST {
            let reason =
                format!("{MOST} keys are published, which is the most that receivers read: retire old ones");
            return Err(Error::conflict(reason).into());
        }
        // It is read before anything is written: one that cannot be read refuses itself.
        let row =
            unit.known.keys.iter().map(|entry| entry.public.row).max().unwrap_or_default().saturating_add(1);
        let key = SigningKey::from_pkcs8(row, self.kid.clone(), &self.pkcs8)?;
        let public = Arc::new(key.public());
        let entry = KeyEntry {
            public: Arc::clone(&public),
            private: Some(Arc::new(key)),
            state: KeyState::Active,
            created_at: time(unit.now),
        };
        sqlx::query("UPDATE keys SET state = 1 WHERE state = 0").execute(&mut *unit.connection).await?;
        sqlx::query(
            "INSERT INTO keys (id, kid, modulus, exponent, pkcs8, state, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(row)
        .bind(&self.kid)
        .bind(&public.modulus)
        .bind(&public.exponent)
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
            changed.push(other.public.id.clone());
        }
        keys.push(entry);
        for id in changed {
            unit.tell(|| Change::Key { id });
        }
        Ok(shown)
    }
}

/// Publishes a key no more. Nobody needs its private half any longer.
#[derive(Debug)]
pub(crate) struct Retire(pub(crate) String);

#[async_trait]
impl Work for Retire {
    type Output = Key;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Key, Fault> {
        let entry = unit.known.keys.iter().find(|entry| entry.public.id == self.0);
        let entry = entry.ok_or_else(|| Error::not_found("key", &self.0))?;
        if entry.state == KeyState::Active {
            return Err(Error::conflict("the key is the active one: rotate first").into());
        }
        sqlx::query("UPDATE keys SET state = ?1, pkcs8 = NULL WHERE id = ?2")
            .bind(KeyState::Retired.code())
            .bind(entry.public.row)
            .execute(&mut *unit.connection)
            .await?;
        let mut shown = entry.shown();
        shown.state = KeyState::Retired;
        for entry in unit.known_mut().keys.iter_mut().filter(|entry| entry.public.id == self.0) {
            entry.state = KeyState::Retired;
            entry.private = None;
        }
        unit.tell(|| Change::Key { id: self.0.clone() });
        Ok(shown)
    }
}

/// The id and the secret of the client of a database for which none was set, made once.
pub(crate) struct OwnClient;

#[async_trait]
impl Work for OwnClient {
    type Output = (String, String);

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(String, String), Fault> {
        let found =
            sqlx::query("SELECT id, secret FROM clients LIMIT 1").fetch_optional(&mut *unit.connection);
        if let Some(row) = found.await? {
            return Ok((row.try_get(0)?, row.try_get(1)?));
        }
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|error| Error::unavailable_because("the system gave no random bytes", error))?;
        let secret = URL_SAFE_NO_PAD.encode(random);
        let id = format!("sandbox-{}", Uuid::new_v4().simple());
        sqlx::query("INSERT INTO clients (id, secret) VALUES (?1, ?2)")
            .bind(&id)
            .bind(&secret)
            .execute(&mut *unit.connection)
            .await?;
        Ok((id, secret))
    }
}

/// All that there are. The inner error is of a key that cannot be read.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    known: &mut Known,
) -> Result<Result<(), Error>, sqlx::Error> {
    let keys = "SELECT id, kid, modulus, exponent, pkcs8, state, created_at FROM keys ORDER BY id";
    for row in sqlx::query(keys).fetch_all(connection).await? {
        let public = PublicKey {
            row: row.try_get(0)?,
            id: row.try_get(1)?,
            modulus: row.try_get(2)?,
            exponent: row.try_get(3)?,
        };
        let pkcs8: Option<&[u8]> = row.try_get(4)?;
        let private = pkcs8.map(|pkcs8| SigningKey::from_pkcs8(public.row, public.id.clone(), pkcs8));
        let private = match private.transpose() {
            Ok(private) => private.map(Arc::new),
            Err(error) => return Ok(Err(error)),
        };
        let (state, created_at) = (KeyState::decode(row.try_get(5)?)?, time(row.try_get(6)?));
        known.keys.push(KeyEntry { public: Arc::new(public), private, state, created_at });
    }
    Ok(Ok(()))
}
