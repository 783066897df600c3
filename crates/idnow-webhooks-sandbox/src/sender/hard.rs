//! An attempt with faults.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Body;

use super::body::Pieces;
use super::echo;
use super::forge::forge;
use super::message::{Message, Unsendable};
use super::token::Data;
use crate::chaos::dice::{Manner, Plan};
use crate::chaos::{Fault, Inflicted};
use crate::keys::SigningKey;
use crate::model::{Answer, Endpoint};
use crate::state::{Due, State};

/// Of the provider's time.
const LONGEST_BODY: Duration = Duration::from_secs(5);
/// In which what was sent leaves this machine before a connection is closed. No scale divides it.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// What has come of it.
pub(super) struct Hard {
    pub(super) answer: Answer,
    pub(super) faults: Vec<Inflicted>,
    /// The row of the key that signed it, if that was looked for anew.
    pub(super) key: Option<i64>,
}

pub(super) async fn send(
    state: &State,
    endpoint: &Endpoint,
    due: &Due,
    key: &Arc<SigningKey>,
    plan: &Plan,
) -> Hard {
    let mut run = Run { state, endpoint, due, faults: Vec::new() };
    for (fault, happened) in
        [(Fault::Delay, plan.delay.is_some()), (Fault::Reorder, plan.reorder), (Fault::Burst, plan.burst)]
    {
        if happened {
            run.note(Inflicted::new(fault));
        }
    }
    if plan.rotate && state.chaos().rotate(state.database(), state.settings()).await {
        run.note(Inflicted::new(Fault::Rotate));
    }
    // After all that has taken its time, the key before may not be published any more.
    let active = || state.active_key().unwrap_or_else(|_| Arc::clone(key));
    for fault in &plan.forgeries {
        run.forge(*fault, &active(), plan.bit).await;
    }
    let key = active();
    let answer = match run.message(&key, plan) {
        Ok(message) => run.genuine(message, plan).await,
        Err(unsendable) => unsendable.into(),
    };
    Hard { answer, faults: run.faults, key: Some(key.row) }
}

struct Run<'a> {
    state: &'a State,
    endpoint: &'a Endpoint,
    due: &'a Due,
    faults: Vec<Inflicted>,
}

impl Run<'_> {
    fn note(&mut self, inflicted: Inflicted) {
        let answer = inflicted.answer.as_ref().filter(|_| inflicted.fault.is_forgery());
        self.state.chaos().count(self.due, inflicted.fault, answer);
        self.faults.push(inflicted);
    }

    async fn forge(&mut self, fault: Fault, key: &Arc<SigningKey>, bit: f64) {
        let answer = match forge(self.state, self.endpoint, self.due, key, fault, bit).await {
            None => return,
            Some(Err(unsendable)) => unsendable.into(),
            Some(Ok(message)) => self.post(message).await,
        };
        self.note(Inflicted::answered(fault, answer));
    }

    fn message(&mut self, key: &SigningKey, plan: &Plan) -> Result<Message, Unsendable> {
        let (due, endpoint) = (self.due, self.endpoint);
        let mut at = due.started_at;
        if let Some(seconds) = plan.skew {
            at = at.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(at);
            self.note(Inflicted { seconds: Some(seconds), ..Inflicted::new(Fault::Skew) });
        }
        let issuer = &self.state.settings().issuer;
        let claims = Data::claims(&due.event, due.number, at, issuer, &endpoint.url);
        Message::new(&endpoint.headers, endpoint.token_place, &claims, key)
    }

    /// The one whose answer counts.
    async fn genuine(&mut self, message: Message, plan: &Plan) -> Answer {
        let (answer, second) = if plan.duplicate {
            let second = self.post(message.clone());
            let (answer, second) = tokio::join!(self.once(message, plan), second);
            (answer, Some(second))
        } else {
            (self.once(message, plan).await, None)
        };
        if let Some(second) = second {
            self.note(Inflicted::answered(Fault::Duplicate, second));
        }
        let Sent { answer, fault } = answer;
        if let Some(fault) = fault {
            self.note(Inflicted::new(fault));
        }
        if plan.lost && matches!(answer, Answer::Status { code: 200..300, .. }) {
            // The endpoint has the event, even if the provider does not know.
            self.state.chaos().arrived(self.endpoint.id, self.due);
            self.note(Inflicted::answered(Fault::Lost, answer));
            return broken("the answer got lost");
        }
        answer
    }

    async fn once(&self, Message { headers, body }: Message, plan: &Plan) -> Sent {
        let (client, url) = (self.state.client(), &self.endpoint.url);
        let mask = |answer| echo::masked(answer, &self.endpoint.headers);
        match plan.manner {
            Manner::Whole => Sent { answer: mask(client.post(url, headers, body).await), fault: None },
            Manner::Slow => {
                let settings = self.state.settings();
                // Half of the receiver's time stays for its answer.
                let longest = settings.scaled(LONGEST_BODY).min(settings.answer_deadline / 2);
                let body = Body::wrap(Pieces::slow(body, longest.mul_f64(plan.pace)));
                Sent { answer: mask(client.post(url, headers, body).await), fault: Some(Fault::Slow) }
            }
            Manner::Half => {
                let (body, mut sent) = Pieces::half(body, ON_ITS_WAY);
                let answer = mask(client.post(url, headers, Body::wrap(body)).await);
                Sent::unless(sent.try_recv().is_ok(), answer, Fault::Half, "half of the body was sent")
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
                Sent::unless(is_sent, answer, Fault::Drop, "the connection was closed before the answer")
            }
        }
    }

    async fn post(&self, Message { headers, body }: Message) -> Answer {
        let answer = self.state.client().post(&self.endpoint.url, headers, body).await;
        echo::masked(answer, &self.endpoint.headers)
    }
}

/// What has come of a request, and what was wrong with it.
struct Sent {
    answer: Answer,
    fault: Option<Fault>,
}

impl Sent {
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
