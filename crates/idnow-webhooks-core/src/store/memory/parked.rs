//! Parked tokens of the store in memory, and the indexes over them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{ParkLimits, ParkOutcome, ParkedToken};

#[derive(Default)]
pub(super) struct Parked {
    tokens: BTreeMap<i64, Kept>,
    positions: HashMap<String, i64>,
    by_age: BTreeSet<(DateTime<Utc>, i64)>,
    /// In the order in which they are dropped.
    by_rank: BTreeSet<Rank>,
    /// The same for each pair of issuer and audience.
    by_origin: HashMap<(String, String), BTreeSet<Rank>>,
    last_position: i64,
}

/// Whether it is of an expected flow, and its position: the least is dropped first.
type Rank = (bool, i64);

struct Kept {
    token: ParkedToken,
    stored_at: DateTime<Utc>,
}

impl Kept {
    fn origin(&self) -> (String, String) {
        (self.token.issuer.clone(), self.token.audience.clone())
    }

    fn rank(&self) -> Rank {
        (self.token.is_expected_flow, self.token.position)
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
        let keep = TimeDelta::from_std(limits.keep).unwrap_or(TimeDelta::MAX);
        if let Some(before) = now.checked_sub_signed(keep) {
            self.drop_stored_by(before);
        }
        self.last_position = self.last_position.saturating_add(1);
        let position = self.last_position;
        let kept = Kept { token: ParkedToken { position, ..token }, stored_at: now };
        self.positions.insert(kept.token.id.clone(), position);
        self.by_age.insert((now, position));
        let origin = kept.origin();
        self.by_origin.entry(origin.clone()).or_default().insert(kept.rank());
        self.by_rank.insert(kept.rank());
        self.tokens.insert(position, kept);
        while let Some(ranks) = self.by_origin.get(&origin)
            && ranks.len() > limits.per_audience.max(1)
            && let Some(first) = first_but(ranks, position)
        {
            self.remove(first);
        }
        while self.len() > limits.in_all.max(1)
            && let Some(first) = first_but(&self.by_rank, position)
        {
            self.remove(first);
        }
        ParkOutcome::New { dropped: before.saturating_add(1).saturating_sub(self.len()) as u64 }
    }

    pub(super) fn drop_stored_by(&mut self, before: DateTime<Utc>) {
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
        self.by_rank.remove(&kept.rank());
        let origin = kept.origin();
        if let Some(ranks) = self.by_origin.get_mut(&origin) {
            ranks.remove(&kept.rank());
            if ranks.is_empty() {
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

/// The position of the first that is not this one.
fn first_but(ranks: &BTreeSet<Rank>, last: i64) -> Option<i64> {
    ranks.iter().map(|(_, position)| *position).find(|position| *position != last)
}

#[cfg(test)]
impl Parked {
    /// How many there are of everything: tokens, ids, ages, ranks, pairs of issuer and audience.
    pub(super) fn sizes(&self) -> [usize; 5] {
        let Self { tokens, positions, by_age, by_rank, by_origin, .. } = self;
        [tokens.len(), positions.len(), by_age.len(), by_rank.len(), by_origin.len()]
    }
}
