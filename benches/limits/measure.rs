//! Two sides, measured in turns.

/// How long to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Long enough to judge.
    Full,
    /// Just once through everything.
    Quick,
}

impl Effort {
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => 3,
        }
    }

    /// Operations in one turn, where a turn takes long.
    pub fn turn(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full.div_ceil(16),
        }
    }
}

/// What came out, in microseconds per operation: medians over all rounds.
pub struct Comparison {
    pub ours: f64,
    pub reference: f64,
    pub ratio: Estimate,
    pub difference: Estimate,
}

/// A median, and how far off it may be: the half-width of its 95% confidence interval.
pub struct Estimate {
    pub median: f64,
    pub noise: f64,
}

/// Runs both sides in turns. Each call does one turn and gives microseconds per operation.
pub fn compare(
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut reference: impl FnMut() -> f64,
) -> Comparison {
    for _ in 0..rounds.div_ceil(20) {
        ours();
        reference();
    }
    let turns: Vec<(f64, f64)> = (0..rounds)
        .map(|round| {
            // Neither side always runs in the other's wake.
            if round % 2 == 0 {
                let ours = ours();
                (ours, reference())
            } else {
                let reference = reference();
                (ours(), reference)
            }
        })
        .collect();
    let column = |of: fn(&(f64, f64)) -> f64| turns.iter().map(of).collect::<Vec<f64>>();
    Comparison {
        ours: median(column(|turn| turn.0)),
        reference: median(column(|turn| turn.1)),
        ratio: Estimate::of(&column(|turn| turn.0 / turn.1)),
        difference: Estimate::of(&column(|turn| turn.0 - turn.1)),
    }
}

impl Estimate {
    /// The deviation is taken from the median too, so that a turn in which the machine was busy elsewhere
    /// does not count.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand rounds")]
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let middle = median(values.to_vec());
        let deviation = 1.4826 * median(values.iter().map(|value| (value - middle).abs()).collect());
        Self { median: middle, noise: 1.96 * 1.2533 * deviation / count.sqrt() }
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}
