//! Which of the events that are due can run.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use idnow_webhooks_core::store::Order;

use super::{micros, unsigned};
use crate::compact::Compact;

/// An event that is due, and what is to be known of its session.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Nobody has looked at it yet.
    pub(super) is_new: bool,
    pub(super) wake: i64,
    pub(super) state: i64,
    pub(super) position: i64,
    pub(super) session: Option<Compact>,
    pub(super) sequence: i64,
    pub(super) waits_since: i64,
    pub(super) highest: i64,
    /// When the one that holds it back is due, or until when it runs. New ones are not looked at for this.
    pub(super) blocked: Option<i64>,
}

/// The time of a claim, and the end of its leases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) now: i64,
    pub(super) until: i64,
}

/// What becomes of the candidates.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) taken: Vec<(i64, Order)>,
    /// Until when.
    pub(super) put_off: Vec<(i64, i64)>,
}

impl Choice {
    /// Up to `limit` are taken. The rest stays as it is, but for the new ones, all of which have been looked at then.
    pub(super) fn of(candidates: Vec<Candidate>, grace: Option<Duration>, limit: usize, time: Time) -> Self {
        let mut choice = Self::default();
        let Some(grace) = grace else {
            let taken = candidates.iter().take(limit);
            choice.taken = taken.map(|candidate| (candidate.position, Order::Unchecked)).collect();
            return choice;
        };
        let first = first_new(&candidates);
        let mut running = HashSet::new();
        for candidate in candidates {
            let is_full = choice.taken.len() >= limit;
            if is_full && !candidate.is_new {
                continue;
            }
            match judge(&candidate, grace, time, &first, &running) {
                Ok(_) if is_full => choice.put_off.push((candidate.position, candidate.wake)),
                Ok(order) => {
                    choice.taken.push((candidate.position, order));
                    running.extend(candidate.session);
                }
                Err(wake) => choice.put_off.push((candidate.position, wake)),
            }
        }
        choice
    }
}

/// The sequence and position of the first new event, by session.
fn first_new(candidates: &[Candidate]) -> HashMap<Compact, (i64, i64)> {
    let mut first = HashMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.is_new) {
        if let Some(session) = &candidate.session {
            let place = (candidate.sequence, candidate.position);
            let first = first.entry(session.clone()).or_insert(place);
            *first = place.min(*first);
        }
    }
    first
}

/// Whether the rest of its session lets an event run, or when to look at it again.
fn judge(
    candidate: &Candidate,
    grace: Duration,
    Time { now, until }: Time,
    first_new: &HashMap<Compact, (i64, i64)>,
    running: &HashSet<Compact>,
) -> Result<Order, i64> {
    let Some(session) = &candidate.session else { return Ok(Order::Unchecked) };
    if running.contains(session) {
        return Err(until);
    }
    if let Some(due) = candidate.blocked {
        return Err(if due > now { due } else { until });
    }
    if first_new.get(session).is_some_and(|first| *first < (candidate.sequence, candidate.position)) {
        return Err(until);
    }
    let waited = Duration::from_micros(unsigned(now.saturating_sub(candidate.waits_since)));
    Order::judge(unsigned(candidate.sequence), unsigned(candidate.highest), waited, grace)
        .map_err(|rest| now.saturating_add(micros(rest).max(1)))
}
