//! What people write without the SDK: the keys are fetched once, and each delivery is verified and printed.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

#[derive(Deserialize)]
struct Claims {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    event_name: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    session_id: String,
    session_status: String,
}

#[derive(Clone)]
struct Receiver {
    keys: JwkSet,
    validation: Validation,
}

async fn deliver(State(receiver): State<Receiver>, token: Bytes) -> StatusCode {
    let Ok(Some(key_id)) = decode_header(&token).map(|header| header.kid) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Some(Ok(key)) = receiver.keys.find(&key_id).map(DecodingKey::from_jwk) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(token) = decode::<Claims>(&token, &key, &receiver.validation) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Data { event_name, payload } = token.claims.data;
    if event_name == "session.completed" {
        println!("session {} is {}", payload.session_id, payload.session_status);
    }
    StatusCode::OK
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = reqwest::get(std::env::var("IDNOW_JWKS_URL")?).await?.error_for_status()?.bytes().await?;
    let keys = serde_json::from_slice(&keys)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[std::env::var("IDNOW_ISSUER")?]);
    validation.set_audience(&[std::env::var("IDNOW_AUDIENCE")?]);
    let app = Router::new().route("/webhooks/idnow", post(deliver)).with_state(Receiver { keys, validation });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}
