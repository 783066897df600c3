use std::any::Any;
use std::error::Error;
use std::fmt::{self, Write as _};

use crate::event::Unreadable;
use crate::one_line::{OneLine, one_line};

/// The longest error that is stored, in characters.
const MAX_STORED: usize = 2000;

/// What a handler returns. `?` works on any error, and means "try again later".
pub type HandlerResult = Result<(), HandlerError>;

type Source = Box<dyn Error + Send + Sync>;

/// Why a handler failed, and whether it is worth trying again.
///
/// Every error converts into one that asks for another try, so `?` just works: on what implements [`Error`], on
/// `Box<dyn Error + Send + Sync>`, on `anyhow::Error`, and on text. It deliberately does not implement [`Error`]
/// itself: that is what makes this conversion possible.
///
/// ```
/// use idnow_webhooks_core::{HandlerError, HandlerResult};
///
/// fn handle(text: &str) -> HandlerResult {
///     let number: u32 = text.parse()?;
///     if number == 0 {
///         return Err(HandlerError::permanent("zero, and it will stay zero"));
///     }
///     u8::try_from(number).map_err(|error| format!("{number} is too much: {error}"))?;
///     Ok(())
/// }
///
/// assert_eq!(handle("300").unwrap_err().to_string(), "300 is too much: out of range integral type conversion attempted");
/// assert!(handle("three").is_err_and(|error| !error.is_permanent()));
/// assert!(handle("0").is_err_and(|error| error.is_permanent()));
/// ```
#[derive(Debug)]
pub struct HandlerError {
    kind: Kind,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Retry,
    Permanent,
    /// Nobody could read the event; the source is an [`Unreadable`].
    Unreadable,
}

impl HandlerError {
    /// The event should be handled again later: something that may pass.
    pub fn retry(error: impl Into<Source>) -> Self {
        Self { kind: Kind::Retry, source: error.into() }
    }

    /// Handling the event again would fail in the same way for ever.
    pub fn permanent(error: impl Into<Source>) -> Self {
        Self { kind: Kind::Permanent, source: error.into() }
    }

    pub(crate) fn unreadable(event: Unreadable) -> Self {
        Self { kind: Kind::Unreadable, source: Box::new(event) }
    }

    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self::retry(format!("the handler panicked: {}", panic_message(panic)))
    }

    pub(crate) fn too_slow(limit: std::time::Duration) -> Self {
        Self::retry(format!("the handler was stopped after {limit:?}"))
    }

    /// Whether it was made by [`permanent`](Self::permanent).
    pub fn is_permanent(&self) -> bool {
        self.kind == Kind::Permanent
    }

    /// The error as stores keep it. Some errors quote the whole of what they choked on.
    pub(crate) fn for_store(&self) -> String {
        one_line(self, MAX_STORED)
    }

    /// Whether a worker makes a dead letter of the event at once: it is permanent, or what cannot be read now cannot be
    /// read later either.
    pub(crate) fn is_final_in_queue(&self) -> bool {
        matches!(self.kind, Kind::Permanent | Kind::Unreadable)
    }

    /// The event that no handler could read, if that is what went wrong.
    pub(crate) fn into_unreadable(self) -> Result<Unreadable, Self> {
        let Self { kind, source } = self;
        if kind != Kind::Unreadable {
            return Err(Self { kind, source });
        }
        source.downcast().map(|event| *event).map_err(|source| Self { kind, source })
    }
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

/// The error and its causes, in one line.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages of panics and databases have many lines.
        let mut line = OneLine(f);
        let mut told = self.source.to_string();
        write!(line, "{told}")?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors quote their cause, and name it as their source as well.
            if !told.contains(&text) {
                write!(line, ": {text}")?;
                told = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl<E: Into<Source>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_cause_is_told_once_whether_its_error_quotes_it_or_not() {
        #[derive(Debug, thiserror::Error)]
        #[error("the transfer failed")]
        struct Transfer(#[source] StoreError);

        let store = || StoreError::unavailable("the disk is full");
        for (error, expected) in [
            (HandlerError::from(store()), "the store is not available: the disk is full"),
            (
                HandlerError::from(Transfer(store())),
                "the transfer failed: the store is not available: the disk is full",
            ),
            (HandlerError::from("no causes"), "no causes"),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
