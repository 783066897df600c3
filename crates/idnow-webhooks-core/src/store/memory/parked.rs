//! Parked tokens of the store in memory, and the indexes over them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{ParkLimits, ParkOutcome, ParkedToken};

#[derive(Default)]
pub(super) struct Parked {
    tokens: BTreeMap<i64, Kept>,
    positions: HashMap<String, i64>,
    by_age: BTreeSet<(DateTime<Utc>, i64)>,
    /// The positions of each pair of issuer and audience.
    by_origin: HashMap<(String, String), BTreeSet<i64>>,
    last_position: i64,
}

struct Kept {
    token: ParkedToken,
    stored_at: DateTime<Utc>,
}

impl Kept {
    fn origin(&self) -> (String, String) {
        (self.token.issuer.clone(), self.token.audience.clone())
    }
}

impl Parked {
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn park(&mut self, token: ParkedToken, limits: ParkLimits, now: DateTime<Utc>) -> ParkOutcome {
        if self.positions.contains_key(&token.id) {
            return ParkOutcome::Known;
        }
        let before = self.len();
        self.drop_older(now, limits);
        self.last_position = self.last_position.saturating_add(1);
        let position = self.last_position;
        let kept = Kept { token: ParkedToken { position, ..token }, stored_at: now };
        self.positions.insert(kept.token.id.clone(), position);
        self.by_age.insert((now, position));
        let origin = kept.origin();
        self.by_origin.entry(origin.clone()).or_default().insert(position);
        self.tokens.insert(position, kept);
        while let Some(positions) = self.by_origin.get(&origin)
            && positions.len() > limits.per_audience.max(1)
            && let Some(oldest) = positions.first().copied()
        {
            self.remove(oldest);
        }
        while self.len() > limits.in_all.max(1)
            && let Some((oldest, _)) = self.tokens.first_key_value()
        {
            self.remove(*oldest);
        }
        ParkOutcome::New { dropped: before.saturating_add(1).saturating_sub(self.len()) as u64 }
    }

    fn drop_older(&mut self, now: DateTime<Utc>, limits: ParkLimits) {
        let keep = TimeDelta::from_std(limits.keep).unwrap_or(TimeDelta::MAX);
        let Some(before) = now.checked_sub_signed(keep) else { return };
        while let Some((stored_at, position)) = self.by_age.first().copied()
            && stored_at <= before
        {
            self.remove(position);
        }
    }

    fn remove(&mut self, position: i64) {
        let Some(kept) = self.tokens.remove(&position) else { return };
        self.positions.remove(&kept.token.id);
        self.by_age.remove(&(kept.stored_at, position));
        let origin = kept.origin();
        if let Some(positions) = self.by_origin.get_mut(&origin) {
            positions.remove(&position);
            if positions.is_empty() {
                self.by_origin.remove(&origin);
            }
        }
    }

    pub(super) fn list(&self, after: i64, limit: usize) -> Vec<ParkedToken> {
        let later = self.tokens.range(after.saturating_add(1)..);
        later.take(limit).map(|(_, kept)| kept.token.clone()).collect()
    }

    pub(super) fn unpark(&mut self, id: &str) -> bool {
        let Some(position) = self.positions.get(id).copied() else { return false };
        self.remove(position);
        true
    }
}

#[cfg(test)]
impl Parked {
    /// How many there are of everything: tokens, ids, ages, pairs of issuer and audience.
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.tokens.len(), self.positions.len(), self.by_age.len(), self.by_origin.len()]
    }
}
