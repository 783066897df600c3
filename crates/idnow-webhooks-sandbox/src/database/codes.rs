//! The numbers that stand for states and kinds in the database. They must never change.

use std::fmt;

use crate::model::{DeadReason, DeliveryState, EventKind, KeyState, Outcome, SessionStatus};

/// Something that the database has a number for.
pub(crate) trait Code: Sized + Copy {
    fn code(self) -> i64;
    fn of(code: i64) -> Option<Self>;

    fn decode(code: i64) -> Result<Self, sqlx::Error> {
        Self::of(code).ok_or_else(|| sqlx::Error::Decode(Box::new(Unknown(code))))
    }
}

/// A number that stands for nothing: the database was changed by something else.
#[derive(Debug)]
pub(crate) struct Unknown(i64);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the database holds {}, which stands for nothing there", self.0)
    }
}

impl std::error::Error for Unknown {}

macro_rules! codes {
    ($($type:ident { $($variant:ident = $code:literal),* })*) => {$(
        impl Code for $type {
            fn code(self) -> i64 {
                match self { $(Self::$variant => $code),* }
            }

            fn of(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    )*};
}

codes! {
    DeliveryState { Waiting = 0, Sending = 1, Delivered = 2, Dead = 3, EndpointDeleted = 4 }
    DeadReason { RetriesExhausted = 0, ClientError = 1, AuthenticationFailed = 2, InvalidUrl = 3 }
    SessionStatus { Created = 0, Running = 1, Completed = 2, Aborted = 3, Expired = 4, Error = 5 }
    Outcome { Accepted = 0, Rejected = 1 }
    EventKind { Created = 0, Completed = 1, Expired = 2, Aborted = 3, Error = 4 }
    KeyState { Active = 0, Published = 1, Retired = 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T: Code + PartialEq + fmt::Debug>(count: i64) {
        for code in 0..count {
            assert_eq!(T::decode(code).unwrap().code(), code);
        }
        assert!(T::decode(count).is_err() && T::decode(-1).is_err());
    }

    #[test]
    fn every_code_is_the_one_of_what_it_stands_for() {
        for (code, state) in (0..).zip(DeliveryState::ALL) {
            assert_eq!(state.code(), code);
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for (code, status) in (0..).zip(SessionStatus::ALL) {
            assert_eq!(status.code(), code);
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        all::<DeliveryState>(5);
        all::<DeadReason>(4);
        all::<SessionStatus>(6);
        all::<Outcome>(2);
        all::<EventKind>(5);
        all::<KeyState>(3);
    }
}
