//! `idnow-webhooks listen`: a receiver to look at.

mod arguments;
mod reason;
mod report;
mod settings;
mod voice;

use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use idnow_webhooks::program::{Log, Server};
use idnow_webhooks::{Head, Outcome, PeerAddr, Receiver};

use crate::forward::Forward;
use crate::stop::Stop;
use crate::{Failure, client, wrong_usage};
pub(crate) use arguments::Arguments;
use report::Report;
use voice::{Need, Voice};

/// How long the last line may wait for its reader.
const LAST_LINE: Duration = Duration::from_secs(2);

struct Listener {
    receiver: Receiver,
    path: String,
    forward: Option<Forward>,
    voice: Voice,
    /// How long an answer may take, from the arrival of a delivery on.
    deadline: Duration,
}

/// Receives until it is told to stop.
pub(crate) async fn run(arguments: Arguments, log: &Log) -> Result<bool, Failure> {
    log.install("error").map_err(|error| wrong_usage("listen", error))?;
    let cannot = |error: io::Error| format!("cannot listen on {}: {error}", arguments.listen);
    let socket = TcpListener::bind(arguments.listen).map_err(cannot)?;
    let address = socket.local_addr().map_err(cannot)?;
    if let Some(target) = &arguments.forward_to
        && arguments::leads_here(target, address)
    {
        let reason = format!("--forward-to {} leads back to this listener", client::shown(target));
        return Err(wrong_usage("listen", reason).into());
    }
    let settings = settings::find(&arguments, address).await?;
    let receiver = settings.receiver_builder().await?.build()?;
    let Arguments { path, forward_to, json, .. } = arguments;
    let forward = forward_to.map(|url| Forward::new(url, settings.answer_deadline)).transpose()?;

    let stop = Stop::watch()?;
    let mut report = Report::new(json, forward.is_some());
    let url = format!("http://{address}{path}");
    if !report.listening(&url, &settings, forward.as_ref().map(Forward::target))? {
        return Ok(true);
    }
    let (voice, silenced) = Voice::start(report)?;
    let deadline = settings.answer_deadline;
    let listener = Arc::new(Listener { receiver, path, forward, voice, deadline });

    let app = Router::new().fallback(deliver).with_state(Arc::clone(&listener));
    let mut ended = None;
    let stop = async {
        tokio::select! {
            () = stop.asked() => {}
            // Without a result its thread has died.
            end = silenced => {
                ended = Some(end.unwrap_or_else(|_| Err(io::Error::other("nothing can be printed any longer"))));
            }
        }
    };
    Server::from_tcp(socket)?.answer_deadline(deadline).serve(app, stop).await;
    if let Some(end) = ended {
        end?;
    } else if !listener.voice.say(LAST_LINE, Need::Always, Report::stopped).await {
        return Err("standard output is not read, or cannot be written: the last lines are missing".into());
    }
    Ok(true)
}

/// Runs on when its client goes away meanwhile: what the target was sent must be seen.
async fn deliver(
    State(listener): State<Arc<Listener>>,
    Extension(PeerAddr(peer)): Extension<PeerAddr>,
    request: Request,
) -> Response {
    let delivery = tokio::spawn(async move { listener.deliver(peer, request).await });
    delivery.await.unwrap_or_else(|_| unavailable())
}

impl Listener {
    async fn deliver(&self, peer: IpAddr, request: Request) -> Response {
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        if parts.uri.path() != self.path {
            let reason = format!("the webhook is at {}", self.path);
            self.tell(arrived, Need::Always, move |report| {
                report.refused(StatusCode::NOT_FOUND, "other_path", &reason)
            })
            .await;
            return answer(StatusCode::NOT_FOUND);
        }
        let mut pieces: Vec<Bytes> = Vec::new();
        let body = body.into_data_stream().inspect_ok(|piece| pieces.push(piece.clone()));
        let head = Head { method: &parts.method, headers: &parts.headers, peer: Some(peer) };
        let delivery = match self.receiver.verify(head, body).await {
            Ok(delivery) => delivery,
            Err(refusal) => {
                let reason = reason::of(&refusal);
                let (status, code) = (refusal.status(), refusal.code());
                self.tell(arrived, Need::Always, move |report| report.refused(status, code, &reason)).await;
                return Outcome::Refused(refusal).response().map(Body::from);
            }
        };
        let Some(forward) = &self.forward else {
            let print = move |report: &mut Report| {
                report.event(StatusCode::OK, &delivery.event, &delivery.token, None)
            };
            // Nothing is stored: an event that nobody sees must come again.
            let seen = self.tell(arrived, Need::Awaited, print).await;
            return if seen { answer(StatusCode::OK) } else { unavailable() };
        };
        let (response, forwarded) = forward.send(arrived, &parts.headers, pieces).await;
        let status = response.status();
        self.tell(arrived, Need::Always, move |report| {
            report.event(status, &delivery.event, &delivery.token, Some(&forwarded))
        })
        .await;
        response
    }

    /// Gives whether it was printed before the answer is due.
    async fn tell(
        &self,
        arrived: Instant,
        need: Need,
        print: impl FnOnce(&mut Report) -> io::Result<bool> + Send + 'static,
    ) -> bool {
        self.voice.say(self.deadline.saturating_sub(arrived.elapsed()), need, print).await
    }
}

/// As a receiver answers what it could not keep: the event comes again.
fn unavailable() -> Response {
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn answer(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
