//! How much there is of everything, without counting.

use super::codes::Code as _;
use crate::model::{DeliveryState, SessionStatus};

/// How many there are in each state, or how many more.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    sessions: [i64; SessionStatus::ALL.len()],
    deliveries: [i64; DeliveryState::ALL.len()],
}

impl Tally {
    pub(crate) fn sessions(&mut self, status: SessionStatus, more: i64) {
        add(&mut self.sessions, status.code(), more);
    }

    pub(crate) fn deliveries(&mut self, state: DeliveryState, more: i64) {
        add(&mut self.deliveries, state.code(), more);
    }

    pub(crate) fn moved(&mut self, from: DeliveryState, to: DeliveryState, count: i64) {
        self.deliveries(from, -count);
        self.deliveries(to, count);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (here, more) in self.sessions.iter_mut().zip(other.sessions) {
            *here += more;
        }
        for (here, more) in self.deliveries.iter_mut().zip(other.deliveries) {
            *here += more;
        }
    }

    pub(crate) fn session_count(&self, status: SessionStatus) -> u64 {
        count(&self.sessions, status.code())
    }

    pub(crate) fn delivery_count(&self, state: DeliveryState) -> u64 {
        count(&self.deliveries, state.code())
    }
}

fn add(counts: &mut [i64], code: i64, more: i64) {
    if let Some(count) = usize::try_from(code).ok().and_then(|code| counts.get_mut(code)) {
        *count += more;
    }
}

fn count(counts: &[i64], code: i64) -> u64 {
    let count = usize::try_from(code).ok().and_then(|code| counts.get(code));
    count.and_then(|count| u64::try_from(*count).ok()).unwrap_or_default()
}
