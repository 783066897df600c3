//! The applications: with the SDK mounted, and with a handler written by hand.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use idnow_webhooks_core::Receiver;
use idnow_webhooks_tower::WebhookService;
use warp::{Filter, Rejection, Reply};

use crate::by_hand::ByHand;
use crate::fixture::PATH;

pub fn axum_ours(receiver: Receiver) -> Router {
    Router::new().route_service(PATH, WebhookService::new(receiver))
}

pub fn axum_by_hand<H: ByHand>(by_hand: Arc<H>) -> Router {
    async fn deliver<H: ByHand>(State(by_hand): State<Arc<H>>, token: Bytes) -> StatusCode {
        status(by_hand.receive(&token))
    }
    Router::new().route(PATH, post(deliver::<H>)).with_state(by_hand)
}

pub fn actix_by_hand<H: ByHand>(by_hand: Arc<H>) -> impl FnOnce(&mut ServiceConfig) + Clone {
    async fn deliver<H: ByHand>(by_hand: web::Data<H>, token: Bytes) -> HttpResponse {
        if by_hand.receive(&token) {
            HttpResponse::Ok().finish()
        } else {
            HttpResponse::Unauthorized().finish()
        }
    }
    move |config| {
        config.app_data(web::Data::from(by_hand)).route(PATH, web::post().to(deliver::<H>));
    }
}

pub fn warp_ours(receiver: Receiver) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    warp::path!("webhooks" / "idnow").and(idnow_webhooks_warp::webhook(receiver))
}

pub fn warp_by_hand<H: ByHand>(
    by_hand: Arc<H>,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    warp::path!("webhooks" / "idnow")
        .and(warp::post())
        .and(warp::body::bytes())
        .map(move |token: Bytes| status(by_hand.receive(&token)))
}

fn status(accepted: bool) -> StatusCode {
    if accepted { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}
