//! Which faults there are, and how likely each is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Error;

/// One table, so that a fault, its name and its probability cannot come apart.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident, $member:ident;)+) => {
        /// What can go wrong with an attempt.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Fault {
            /// All of them: first those of the genuine attempt, then what is sent before it.
            pub const ALL: [Self; [$(stringify!($member)),+].len()] = [$(Self::$variant),+];

            /// Its name, as [`Chaos`] spells it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($member),)+
                }
            }
        }

        /// Which faults there are, and how likely each is for one attempt: 0, the default, is never, and 1 is always.
        ///
        /// It is written as `seed=7,duplicate=0.2,reorder=0.3`; `all=0.1` stands for every fault that is not named after it.
        ///
        /// What happens to an attempt follows from the seed, the number of its delivery and its own number alone: the same
        /// seed and the same deliveries have the same faults, however many attempts run at the same time.
        ///
        /// ```
        /// use idnow_webhooks_sandbox::Chaos;
        ///
        /// let chaos: Chaos = "seed=7,duplicate=0.2,reorder=0.3".parse()?;
        /// assert_eq!((chaos.seed, chaos.duplicate, chaos.drop), (7, 0.2, 0.0));
        /// assert_eq!(chaos.to_string(), "seed=7,duplicate=0.2,reorder=0.3");
        ///
        /// let wrong = "seed=7,duplicat=0.2".parse::<Chaos>().unwrap_err();
        /// assert!(wrong.to_string().contains("do you mean \"duplicate\"?"));
        /// # Ok::<_, idnow_webhooks_sandbox::chaos::ParseChaosError>(())
        /// ```
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
        #[serde(default, rename_all = "camelCase", deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Chaos {
            /// Another seed, other faults.
            pub seed: u64,
            $(
                $(#[doc = $doc])+
                #[schema(minimum = 0.0, maximum = 1.0)]
                pub $member: f64,
            )+
        }

        impl Chaos {
            /// How likely a fault is.
            pub fn probability(&self, fault: Fault) -> f64 {
                match fault {
                    $(Fault::$variant => self.$member,)+
                }
            }

            fn slot(&mut self, fault: Fault) -> &mut f64 {
                match fault {
                    $(Fault::$variant => &mut self.$member,)+
                }
            }
        }
    };
}

faults! {
    /// The same request twice at the same time. The answer to the second decides nothing.
    Duplicate, duplicate;
    /// The endpoint answered 2xx, and the answer gets lost: the delivery is retried as after a dropped connection.
    Lost, lost;
    /// An event that has a successor in its session is held until the endpoint has that, for a minute at most.
    Reorder, reorder;
    /// The attempt is held for up to 10 s.
    Delay, delay;
    /// The connection is closed before the answer.
    Drop, drop;
    /// Half of the body is sent, and then the connection is closed.
    Half, half;
    /// The body comes in pieces, over up to 5 s, and half of what the receiver has for its answer at most.
    Slow, slow;
    /// The clock that the token is made by is wrong by up to 30 s, either way.
    Skew, skew;
    /// The keys are rotated right before the token is signed: once a minute at most, and every 15 s of the receiver's time. Not
    /// if the retries that the delivery has left take 10 s or less, as many receivers fetch new keys no more often: with ten
    /// retries, never at a time scale above 102. Of the keys that chaos has rotated away, the last three stay published.
    Rotate, rotate;
    /// The attempt is held until the next full 10 s, to be sent with all others that are.
    Burst, burst;
    /// Before it, a token whose signature has one wrong bit.
    Corrupt, corrupt;
    /// Before it, a token that expired an hour ago.
    Expired, expired;
    /// Before it, a token by a key that was never published.
    Unknown, unknown;
    /// Before it, a token by a key that is published no more: one that chaos has retired itself, when no attempt could still be
    /// signed with it. A receiver that still has the key may accept it. If there is none yet, the keys are rotated, where that
    /// can happen, and that is told as such.
    Retired, retired;
    /// Before it, a token that was issued a day from now.
    Future, future;
}

impl Fault {
    /// Whether it is a request of its own, which no receiver should accept.
    pub const fn is_forgery(self) -> bool {
        matches!(self, Self::Corrupt | Self::Expired | Self::Unknown | Self::Retired | Self::Future)
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Chaos {
    /// No fault yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Makes a fault this likely: 0 to 1.
    #[must_use]
    pub fn with(mut self, fault: Fault, probability: f64) -> Self {
        *self.slot(fault) = probability;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match Fault::ALL.into_iter().find(|fault| !is_probability(self.probability(*fault))) {
            None => Ok(()),
            Some(fault) => Err(Error::invalid(fault.name(), "it must be from 0 (never) to 1 (always)")),
        }
    }
}

fn is_probability(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

/// As it is parsed. Faults that never happen are left out.
impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed={}", self.seed)?;
        for fault in Fault::ALL {
            let probability = self.probability(fault);
            if probability != 0.0 {
                write!(f, ",{fault}={probability}")?;
            }
        }
        Ok(())
    }
}

/// Why a text is no [`Chaos`]: which member is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseChaosError(String);

const SEED: &str = "seed";
const ALL: &str = "all";
/// A text may come from anywhere; of a name that is wrong, so much is repeated.
const LONGEST_NAME: usize = 40;

impl FromStr for Chaos {
    type Err = ParseChaosError;

    fn from_str(text: &str) -> Result<Self, ParseChaosError> {
        let mut chaos = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for member in text.split(',') {
            let Some((name, value)) = member.split_once('=') else {
                let reason = format!("{:?} is no NAME=VALUE; for example: seed=7,duplicate=0.2", cut(member));
                return Err(ParseChaosError(reason));
            };
            let (name, value) = (name.trim(), value.trim());
            if seen.contains(&name) {
                return Err(ParseChaosError(format!("{:?} is named twice", cut(name))));
            }
            if name == SEED {
                chaos.seed = value.parse().map_err(|_| {
                    let reason =
                        format!("seed is {:?}: it must be a whole number from 0 to {}", cut(value), u64::MAX);
                    ParseChaosError(reason)
                })?;
            } else if name == ALL {
                let probability = probability(name, value)?;
                let named = |fault: &Fault| seen.contains(&fault.name());
                for fault in Fault::ALL.into_iter().filter(|fault| !named(fault)) {
                    *chaos.slot(fault) = probability;
                }
            } else {
                let fault = Fault::of(name).ok_or_else(|| unknown(name))?;
                *chaos.slot(fault) = probability(name, value)?;
            }
            seen.push(name);
        }
        Ok(chaos)
    }
}

fn probability(name: &str, value: &str) -> Result<f64, ParseChaosError> {
    let wrong = || format!("{name} is {:?}: it must be a number from 0 (never) to 1 (always)", cut(value));
    match value.parse() {
        Ok(probability) if is_probability(probability) => Ok(probability),
        _ => Err(ParseChaosError(wrong())),
    }
}

fn unknown(name: &str) -> ParseChaosError {
    let known: Vec<&str> = [SEED, ALL].into_iter().chain(Fault::ALL.map(Fault::name)).collect();
    let name = cut(name);
    let near =
        known.iter().max_by(|a, b| strsim::jaro_winkler(a, &name).total_cmp(&strsim::jaro_winkler(b, &name)));
    let near = near.filter(|near| strsim::jaro_winkler(near, &name) > 0.8);
    let hint = near.map(|near| format!(" do you mean {near:?}?")).unwrap_or_default();
    ParseChaosError(format!("there is no {name:?}:{hint} It knows {}", known.join(", ")))
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests;
