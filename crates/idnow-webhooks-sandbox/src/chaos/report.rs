//! What chaos has done, as the management API tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::{Chaos, Fault};
use crate::model::Answer;

/// What chaos there is, and what has come of it since it was set.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChaosReport {
    /// How likely each fault is. `null`: there is no chaos.
    pub settings: Option<Chaos>,
    /// How often each fault has happened to genuine attempts.
    pub faults: Vec<FaultCount>,
    /// What came of the requests that no receiver should accept.
    pub forgeries: Vec<ForgeryCount>,
    /// How many of these were accepted: one is too many. Tokens by retired keys do not count, as a receiver may still know
    /// the key.
    pub forgeries_accepted: u64,
}

/// How often a fault has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FaultCount {
    /// Which.
    pub fault: Fault,
    /// How often.
    pub count: u64,
}

/// What came of forgeries of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ForgeryCount {
    /// Which.
    pub fault: Fault,
    /// How many were sent, or tried to be sent.
    pub sent: u64,
    /// How many were answered other than 2xx: the receiver is right.
    pub refused: u64,
    /// How many were answered 2xx.
    pub accepted: u64,
    /// How many were not answered.
    pub unanswered: u64,
}

/// A fault that happened to an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Inflicted {
    /// Which.
    pub fault: Fault,
    /// By how much the clock of the token was wrong; only of `skew`.
    pub seconds: Option<i64>,
    /// What came of the request that was sent besides the genuine one, or the answer that was lost: it decided nothing.
    pub answer: Option<Answer>,
}

impl Inflicted {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, seconds: None, answer: None }
    }

    pub(crate) fn answered(fault: Fault, answer: Answer) -> Self {
        Self { fault, seconds: None, answer: Some(answer) }
    }
}

/// Counts, as they are kept.
#[derive(Debug, Default)]
pub(super) struct Counts {
    rows: [Row; Fault::ALL.len()],
}

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    count: u64,
    refused: u64,
    accepted: u64,
    unanswered: u64,
}

impl Counts {
    /// `answer` is that of a forgery; none that counts of another fault.
    pub(super) fn add(&mut self, fault: Fault, answer: Option<&Answer>) {
        let Some((_, row)) = Fault::ALL.iter().zip(&mut self.rows).find(|(known, _)| **known == fault) else {
            return;
        };
        row.count += 1;
        match answer {
            Some(Answer::Status { code: 200..300, .. }) => row.accepted += 1,
            Some(Answer::Status { .. }) => row.refused += 1,
            _ => row.unanswered += 1,
        }
    }

    fn rows(&self) -> impl Iterator<Item = (Fault, Row)> {
        Fault::ALL.into_iter().zip(self.rows)
    }

    pub(super) fn forgeries_accepted(&self) -> u64 {
        let alarming = |(fault, _): &(Fault, Row)| is_alarming(*fault);
        self.rows().filter(alarming).map(|(_, row)| row.accepted).sum()
    }

    pub(super) fn report(&self, settings: Option<Chaos>) -> ChaosReport {
        let faults = self.rows().filter(|(fault, _)| !fault.is_forgery());
        let forgeries = self.rows().filter(|(fault, _)| fault.is_forgery());
        ChaosReport {
            settings,
            faults: faults.map(|(fault, row)| FaultCount { fault, count: row.count }).collect(),
            forgeries: forgeries
                .map(|(fault, row)| {
                    let Row { count: sent, refused, accepted, unanswered } = row;
                    ForgeryCount { fault, sent, refused, accepted, unanswered }
                })
                .collect(),
            forgeries_accepted: self.forgeries_accepted(),
        }
    }
}

/// Whether no receiver can have a reason to accept it.
pub(super) fn is_alarming(fault: Fault) -> bool {
    fault.is_forgery() && fault != Fault::Retired
}
