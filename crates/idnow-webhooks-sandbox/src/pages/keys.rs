//! The keys that sign.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::failure::Failure;
use super::fields::Sent;
use super::json::Json;
use super::shell::{Done, Shell, go, render};
use super::show::{Badge, Time, Tone};
use crate::model::KeyState;
use crate::sandbox::Sandbox;

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage<'a> {
    shell: Shell,
    rows: Vec<KeyRow>,
    jwks: Json,
    jwks_url: &'a str,
}

struct KeyRow {
    id: String,
    state: Badge,
    meaning: &'static str,
    created: Time,
    can_retire: bool,
}

pub(super) async fn list(State(sandbox): State<Sandbox>, shell: Shell) -> Result<Response, Failure> {
    let rows = sandbox
        .keys()
        .await?
        .into_iter()
        .rev()
        .map(|key| {
            let (state, meaning) = match key.state {
                KeyState::Active => (Badge::new(Tone::Good, "Active"), "Signs, and is published"),
                KeyState::Published => {
                    (Badge::new(Tone::Busy, "Published"), "Signs no more, and is still published")
                }
                KeyState::Retired => (Badge::new(Tone::Off, "Retired"), "Is not published any more"),
            };
            KeyRow {
                id: key.id,
                state,
                meaning,
                created: Time::new(key.created_at),
                can_retire: key.state == KeyState::Published,
            }
        })
        .collect();
    Ok(render(&KeysPage {
        shell: shell.following("key"),
        rows,
        jwks: Json(sandbox.jwks().await?),
        jwks_url: sandbox.jwks_url(),
    }))
}

pub(super) async fn rotate(State(sandbox): State<Sandbox>) -> Result<Response, Failure> {
    sandbox.rotate_keys().await.map_err(|error| Failure::from(error).back_to("/keys"))?;
    Ok(go("/keys", Some(Done::KeysRotated)))
}

pub(super) async fn retire(State(sandbox): State<Sandbox>, Sent(sent): Sent) -> Result<Response, Failure> {
    sandbox.retire_key(sent.get("key")).await.map_err(|error| Failure::from(error).back_to("/keys"))?;
    Ok(go("/keys", Some(Done::KeyRetired)))
}
