//! What happens to an attempt: a pure function of the seed, the delivery, the attempt and the fault.
//!
//! There is no stream of random numbers that attempts would share, so it does not matter in what order they are made.

use aws_lc_rs::digest::{SHA256, digest};

use super::plan::{Chaos, Fault};

/// The clock of a token is off by so many seconds at most.
const MOST_SKEW: f64 = 30.0;

/// An attempt, as far as its faults depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circumstances {
    pub(crate) delivery: i64,
    /// Counted from 1.
    pub(crate) number: u32,
    /// Of the delivery, since it was made or retriggered.
    pub(crate) is_first: bool,
    /// No retry is left after it.
    pub(crate) is_last: bool,
    /// The session is not at its end: another event will follow.
    pub(crate) has_successor: bool,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Whole,
    /// In pieces.
    Slow,
    /// Half of it.
    Half,
    /// All of it, without waiting for the answer.
    Drop,
}

/// What is to happen to an attempt.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each fault happens or not, whatever the others do")]
pub(crate) struct Plan {
    pub(crate) reorder: bool,
    pub(crate) burst: bool,
    /// Which part of the longest delay.
    pub(crate) delay: Option<f64>,
    pub(crate) manner: Manner,
    /// Which part of the longest time, if it is slow.
    pub(crate) pace: f64,
    pub(crate) duplicate: bool,
    pub(crate) lost: bool,
    pub(crate) rotate: bool,
    /// In seconds.
    pub(crate) skew: Option<i64>,
    /// What is sent before it, in this order.
    pub(crate) forgeries: Vec<Fault>,
    /// Which bit of a signature is wrong: a part of all of them.
    pub(crate) bit: f64,
}

impl Plan {
    /// None if nothing happens. The last attempt has no faults of its own: they must not use up the retries of a delivery.
    pub(crate) fn of(chaos: &Chaos, attempt: Circumstances) -> Option<Self> {
        let roll = |what: &str| fraction(chaos.seed, attempt.delivery, attempt.number, what);
        let hits = |fault: Fault| roll(fault.name()) < chaos.probability(fault);
        let hits_genuine = |fault| !attempt.is_last && hits(fault);
        let manner = if hits_genuine(Fault::Half) {
            Manner::Half
        } else if hits_genuine(Fault::Drop) {
            Manner::Drop
        } else if hits_genuine(Fault::Slow) {
            Manner::Slow
        } else {
            Manner::Whole
        };
        // A request that fails by itself has no answer to lose, and a second one beside it would be the genuine one.
        let has_answer = matches!(manner, Manner::Whole | Manner::Slow);
        let plan = Self {
            reorder: attempt.is_first && attempt.has_successor && hits_genuine(Fault::Reorder),
            burst: hits_genuine(Fault::Burst),
            delay: hits_genuine(Fault::Delay).then(|| roll("delay: how long")),
            manner,
            pace: roll("slow: how long"),
            duplicate: has_answer && hits_genuine(Fault::Duplicate),
            lost: has_answer && hits_genuine(Fault::Lost),
            rotate: hits_genuine(Fault::Rotate),
            skew: hits_genuine(Fault::Skew).then(|| skew(roll("skew: how much"))),
            forgeries: Fault::ALL.into_iter().filter(|fault| fault.is_forgery() && hits(*fault)).collect(),
            bit: roll("corrupt: which bit"),
        };
        plan.does_anything().then_some(plan)
    }

    fn does_anything(&self) -> bool {
        let genuine = self.duplicate || self.lost || self.rotate || self.skew.is_some();
        genuine || self.holds() || self.manner != Manner::Whole || !self.forgeries.is_empty()
    }

    /// Whether the attempt does not begin at once.
    pub(crate) fn holds(&self) -> bool {
        self.reorder || self.burst || self.delay.is_some()
    }

    /// What is left of it for an attempt that begins at once.
    pub(crate) fn without_holding(self) -> Option<Self> {
        let plan = Self { reorder: false, burst: false, delay: None, ..self };
        plan.does_anything().then_some(plan)
    }
}

/// Never 0: a clock that is right is no fault.
#[expect(clippy::cast_possible_truncation, reason = "at most 30")]
fn skew(part: f64) -> i64 {
    let seconds = (part - 0.5) * 2.0 * MOST_SKEW;
    if seconds < 0.0 { seconds.floor() as i64 } else { seconds.floor() as i64 + 1 }
}

/// From 0 to less than 1, evenly.
fn fraction(seed: u64, delivery: i64, attempt: u32, what: &str) -> f64 {
    let mut text = Vec::with_capacity(20 + what.len());
    text.extend_from_slice(&seed.to_be_bytes());
    text.extend_from_slice(&delivery.to_be_bytes());
    text.extend_from_slice(&attempt.to_be_bytes());
    text.extend_from_slice(what.as_bytes());
    let digest = digest(&SHA256, &text);
    // 32 bits are exact in a double, and fine enough for a probability.
    let first = digest.as_ref().first_chunk().copied().map_or(0, u32::from_be_bytes);
    f64::from(first) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(delivery: i64, number: u32) -> Circumstances {
        Circumstances { delivery, number, is_first: number == 1, is_last: false, has_successor: true }
    }

    fn everything(seed: u64, probability: f64) -> Chaos {
        Fault::ALL.into_iter().fold(Chaos::new(seed), |chaos, fault| chaos.with(fault, probability))
    }

    fn plans(seed: u64) -> Vec<Option<Plan>> {
        let chaos = everything(seed, 0.2);
        let all = (1..=200).flat_map(|delivery| (1..=3).map(move |number| attempt(delivery, number)));
        all.map(|attempt| Plan::of(&chaos, attempt)).collect()
    }

    #[test]
    fn the_same_seed_has_the_same_faults_in_any_order_and_another_seed_has_others() {
        let (once, other) = (plans(7), plans(8));
        assert_eq!(once, plans(7));
        assert_ne!(once, other);
        let chaos = everything(7, 0.2);
        let alone = Plan::of(&chaos, attempt(200, 3));
        assert_eq!(once.last(), Some(&alone));
        // No two attempts share their luck, and none is decided by a neighbour's.
        let distinct = once.iter().zip(once.iter().skip(3)).filter(|(a, b)| a != b).count();
        assert!(distinct > 500, "{distinct}");
    }

    /// What a seed does is written down by its users: it must not change with the software.
    #[test]
    fn the_dice_are_these() {
        let rolled =
            [fraction(7, 1, 1, "duplicate"), fraction(7, 1, 2, "duplicate"), fraction(7, 2, 1, "duplicate")];
        assert_eq!(rolled.map(|part| format!("{part:.6}")), EXPECTED);
    }

    const EXPECTED: [&str; 3] = ["0.966749", "0.403440", "0.993518"];

    #[test]
    fn a_fault_is_as_frequent_as_it_is_likely() {
        for fault in Fault::ALL {
            let hits = (1..=10_000).filter(|delivery| {
                Plan::of(&Chaos::new(5).with(fault, 0.3), attempt(*delivery, 1)).is_some()
            });
            let hits = hits.count();
            assert!((2_800..3_200).contains(&hits), "{fault}: {hits}");
            assert_eq!(Plan::of(&Chaos::new(5).with(fault, 0.0), attempt(1, 1)), None);
            assert!(Plan::of(&Chaos::new(5).with(fault, 1.0), attempt(1, 1)).is_some(), "{fault}");
        }
    }

    #[test]
    fn the_last_attempt_has_no_fault_of_its_own() {
        let chaos = everything(7, 1.0);
        let plan = Plan::of(&chaos, Circumstances { is_last: true, ..attempt(1, 11) }).unwrap();
        assert_eq!((plan.manner, plan.holds()), (Manner::Whole, false));
        assert!(!plan.lost && !plan.duplicate && !plan.rotate && plan.skew.is_none());
        assert_eq!(plan.forgeries.len(), 5);
        let genuine = Chaos { corrupt: 0.0, expired: 0.0, unknown: 0.0, retired: 0.0, future: 0.0, ..chaos };
        assert_eq!(Plan::of(&genuine, Circumstances { is_last: true, ..attempt(1, 11) }), None);
    }

    #[test]
    fn only_an_event_that_can_be_overtaken_is_held_for_that() {
        let chaos = Chaos::new(1).with(Fault::Reorder, 1.0);
        assert!(Plan::of(&chaos, attempt(1, 1)).unwrap().reorder);
        assert_eq!(Plan::of(&chaos, Circumstances { has_successor: false, ..attempt(1, 1) }), None);
        assert_eq!(Plan::of(&chaos, attempt(1, 2)), None);
    }

    #[test]
    fn what_is_not_held_has_its_other_faults() {
        let plan = Plan::of(&everything(7, 1.0), attempt(1, 1)).unwrap();
        let at_once = plan.clone().without_holding().unwrap();
        assert!(plan.holds() && !at_once.holds());
        assert_eq!((at_once.manner, at_once.forgeries), (plan.manner, plan.forgeries));
        let held = Plan::of(&Chaos::new(1).with(Fault::Delay, 1.0), attempt(1, 1)).unwrap();
        assert_eq!(held.without_holding(), None);
    }

    #[test]
    fn a_clock_is_wrong_by_one_to_thirty_seconds_either_way() {
        let chaos = Chaos::new(3).with(Fault::Skew, 1.0);
        let skews = (1..=2000).filter_map(|delivery| Plan::of(&chaos, attempt(delivery, 1))?.skew);
        let mut skews: Vec<i64> = skews.collect();
        skews.sort_unstable();
        skews.dedup();
        let expected: Vec<i64> = (-30..=-1).chain(1..=30).collect();
        assert_eq!(skews, expected);
        assert_eq!((skew(0.0), skew(0.999_999)), (-30, 30));
    }
}
