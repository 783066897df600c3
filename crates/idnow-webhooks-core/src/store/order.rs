use std::time::Duration;

/// What a worker heeds among the events of one session. Events of different sessions never wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionOrder {
    /// Nothing: events are handled as they come, also two of one session at a time.
    Any,
    /// One at a time, and by `eventSequence` among those that are here: an event waits until each lower one of its
    /// session that has arrived is completed or a dead letter.
    Sequence {
        /// How long an event waits, from its arrival, while the one right before it has not been handled. Then it is
        /// handled all the same, as [`Order::AfterGap`]. Zero does not wait.
        grace: Duration,
    },
}

impl Default for SessionOrder {
    /// In sequence among the events that are here.
    fn default() -> Self {
        Self::Sequence { grace: Duration::ZERO }
    }
}

/// The place of an event among those of its session, when its handler starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Nobody looked: the event is handled inline, has no session, or the worker heeds none.
    Unchecked,
    /// The event right before it was the last that was handled.
    InSequence,
    /// The event right before it has not been handled: it has not arrived, or is a dead letter.
    AfterGap,
    /// An event with a higher or the same number was handled before it.
    Late,
}

impl Order {
    /// Judges an event that no lower one of its session holds back. For implementations of
    /// [`EventStore`](super::EventStore).
    ///
    /// `sequence` is its number, `highest` the highest of its session that is completed (0 without one), and
    /// `waited` the time since it arrived.
    ///
    /// # Errors
    ///
    /// How much longer it has to wait for the missing one.
    pub fn judge(sequence: u64, highest: u64, waited: Duration, grace: Duration) -> Result<Self, Duration> {
        if sequence <= highest {
            Ok(Self::Late)
        } else if sequence == highest.saturating_add(1) {
            Ok(Self::InSequence)
        } else if waited >= grace {
            Ok(Self::AfterGap)
        } else {
            Err(grace.saturating_sub(waited))
        }
    }
}
