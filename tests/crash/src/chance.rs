use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Chance that can be repeated: the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Starts from this number.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Starts from `CRASH_SEED`, or from any number, and says which: a run cannot be repeated exactly, because the
    /// machine decides what happens when, but its choices can.
    ///
    /// # Panics
    ///
    /// When the variable is no number.
    #[expect(clippy::print_stdout, clippy::expect_used, reason = "for whoever reads the output of a test")]
    pub fn announced(test: &str) -> Self {
        let seed = std::env::var("CRASH_SEED").map_or_else(
            |_| RandomState::new().hash_one(0_u8),
            |seed| seed.parse().expect("CRASH_SEED is a number"),
        );
        println!("{test}: CRASH_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // SplitMix64: even seeds that follow each other give numbers that have nothing in common.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)).checked_rem(end).unwrap_or_default()
    }

    /// One chance in so many.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// One of them, if there are any.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// An index into something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        let index = self.below(u64::try_from(length).unwrap_or(u64::MAX));
        usize::try_from(index).unwrap_or_default()
    }

    /// A time between these, in milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from).saturating_add(1)))
    }
}
