//! An attempt with faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Body;

use super::body::Pieces;
use super::echo;
use super::forge::forge;
use super::message::{Message, Unsendable};
use super::plain::{Sent, signing_key};
use super::token::Data;
use crate::chaos::dice::{Manner, Plan};
use crate::chaos::{Fault, Inflicted};
use crate::clock;
use crate::keys::SigningKey;
use crate::model::{Answer, Endpoint};
use crate::state::{Due, State};

/// Of the provider's time.
const LONGEST_BODY: Duration = Duration::from_secs(5);
/// In which what was sent leaves this machine before a connection is closed. No scale divides it.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// Forgeries are answered in no time, or the token that follows them is of a later time.
const FRESH: Duration = Duration::from_secs(5);

pub(super) async fn send(
    state: &State,
    endpoint: &Endpoint,
    due: &Due,
    taken_with: &Arc<SigningKey>,
    plan: &Plan,
) -> Sent {
    let mut run = Run { state, endpoint, due, at: clock::now(), faults: Vec::new() };
    for (fault, happened) in
        [(Fault::Delay, plan.delay.is_some()), (Fault::Reorder, plan.reorder), (Fault::Burst, plan.burst)]
    {
        if happened {
            run.note(Inflicted::new(fault));
        }
    }
    run.prepare_keys(plan).await;
    let active = || signing_key(state, due, taken_with);
    let begun = Instant::now();
    run.at = clock::now();
    for fault in &plan.forgeries {
        run.forge(*fault, &active(), plan.bit).await;
    }
    if begun.elapsed() > FRESH {
        run.at = clock::now();
    }
    let key = active();
    let signed_at = run.at;
    let (answer, took) = match run.message(&key, plan) {
        Ok(message) => run.genuine(message, plan).await,
        Err(unsendable) => (unsendable.into(), Duration::ZERO),
    };
    Sent { answer, took, faults: run.faults, key: Some(key.row), signed_at: Some(signed_at) }
}

struct Run<'a> {
    state: &'a State,
    endpoint: &'a Endpoint,
    due: &'a Due,
    /// What the clock shows, for its tokens.
    at: DateTime<Utc>,
    faults: Vec<Inflicted>,
}

impl Run<'_> {
    fn note(&mut self, inflicted: Inflicted) {
        let answer = inflicted.answer.as_ref().filter(|_| inflicted.fault.is_forgery());
        self.state.chaos().count(self.due, inflicted.fault, answer);
        self.faults.push(inflicted);
    }

    /// Whatever takes long comes before the clock is read.
    async fn prepare_keys(&mut self, plan: &Plan) {
        let (state, chaos) = (self.state, self.state.chaos());
        let lacks_key = || chaos.has_no_key_to_retire(&state.database().now_known());
        if plan.rotate || (plan.forgeries.contains(&Fault::Retired) && lacks_key()) {
            let left = state.time_left(self.due);
            if chaos.rotate(state.database(), state.settings(), left).await {
                self.note(Inflicted::new(Fault::Rotate));
            }
        }
        if plan.forgeries.contains(&Fault::Unknown)
            && let Err(error) = chaos.unknown_key().await
        {
            tracing::warn!(%error, "chaos cannot make a key; it tries again");
        }
    }

    async fn forge(&mut self, fault: Fault, key: &Arc<SigningKey>, bit: f64) {
        let answer = match forge(self.state, self.endpoint, (self.due, self.at), key, fault, bit).await {
            None => return,
            Some(Err(unsendable)) => unsendable.into(),
            Some(Ok(message)) => self.post(message).await,
        };
        self.note(Inflicted::answered(fault, answer));
    }

    fn message(&mut self, key: &SigningKey, plan: &Plan) -> Result<Message, Unsendable> {
        let (due, endpoint) = (self.due, self.endpoint);
        let mut at = self.at;
        if let Some(seconds) = plan.skew {
            at = at.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(at);
            self.note(Inflicted { seconds: Some(seconds), ..Inflicted::new(Fault::Skew) });
        }
        let issuer = &self.state.settings().issuer;
        let claims = Data::claims(&due.event, due.number, at, issuer, &endpoint.url);
        Message::new(&endpoint.headers, endpoint.token_place, &claims, key)
    }

    /// The one whose answer counts, and how long that took.
    async fn genuine(&mut self, message: Message, plan: &Plan) -> (Answer, Duration) {
        let second = plan.duplicate.then(|| message.clone());
        let timed = async {
            let begun = Instant::now();
            (self.once(message, plan).await, begun.elapsed())
        };
        let second = async { Some(self.post(second?).await) };
        let ((Outcome { answer, fault }, took), second) = tokio::join!(timed, second);
        if let Some(second) = second {
            self.note(Inflicted::answered(Fault::Duplicate, second));
        }
        if let Some(fault) = fault {
            self.note(Inflicted::new(fault));
        }
        if plan.lost && matches!(answer, Answer::Status { code: 200..300, .. }) {
            // The endpoint has the event, even if the provider does not know.
            self.state.chaos().arrived(self.endpoint.id, self.due);
            self.note(Inflicted::answered(Fault::Lost, answer));
            return (broken("the answer got lost"), took);
        }
        (answer, took)
    }

    async fn once(&self, Message { headers, body }: Message, plan: &Plan) -> Outcome {
        let (client, url) = (self.state.client(), &self.endpoint.url);
        let mask = |answer| echo::masked(answer, &self.endpoint.headers);
        match plan.manner {
            Manner::Whole => Outcome { answer: mask(client.post(url, headers, body).await), fault: None },
            Manner::Slow => {
                let settings = self.state.settings();
                // Half of the receiver's time stays for its answer.
                let longest = settings.scaled(LONGEST_BODY).min(settings.answer_deadline / 2);
                let body = Body::wrap(Pieces::slow(body, longest.mul_f64(plan.pace)));
                Outcome { answer: mask(client.post(url, headers, body).await), fault: Some(Fault::Slow) }
            }
            Manner::Half => {
                let (body, mut sent) = Pieces::half(body, ON_ITS_WAY);
                let answer = mask(client.post(url, headers, Body::wrap(body)).await);
                Outcome::unless(sent.try_recv().is_ok(), answer, Fault::Half, "half of the body was sent")
            }
            Manner::Drop => {
                let (body, sent) = Pieces::telling(body);
                let mut is_sent = false;
                let on_its_way = async {
                    match sent.await {
                        Ok(()) => {
                            is_sent = true;
                            tokio::time::sleep(ON_ITS_WAY).await;
                        }
                        Err(_) => std::future::pending().await,
                    }
                };
                let answer = tokio::select! {
                    biased;
                    () = on_its_way => None,
                    answer = client.post(url, headers, Body::wrap(body)) => Some(mask(answer)),
                };
                let answer = answer.unwrap_or_else(|| broken("nothing"));
                Outcome::unless(is_sent, answer, Fault::Drop, "the connection was closed before the answer")
            }
        }
    }

    async fn post(&self, Message { headers, body }: Message) -> Answer {
        let answer = self.state.client().post(&self.endpoint.url, headers, body).await;
        echo::masked(answer, &self.endpoint.headers)
    }
}

/// What has come of a request, and what was wrong with it.
struct Outcome {
    answer: Answer,
    fault: Option<Fault>,
}

impl Outcome {
    /// If it did not come so far, the answer is as it is without chaos.
    fn unless(happened: bool, answer: Answer, fault: Fault, reason: &str) -> Self {
        if happened {
            Self { answer: broken(reason), fault: Some(fault) }
        } else {
            Self { answer, fault: None }
        }
    }
}

fn broken(reason: &str) -> Answer {
    Answer::ConnectionFailed { reason: format!("chaos: {reason}") }
}
