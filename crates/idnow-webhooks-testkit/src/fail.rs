use std::fmt::Display;

/// Ends the test that misuses the kit, or whose machine has no working crypto library.
///
/// A kit that handed back a `Result` for these would only move the `unwrap` into every line of every test.
#[track_caller]
#[expect(clippy::panic, reason = "the one place where a kit for tests gives up, see the crate's docs")]
pub(crate) fn fail(what: impl Display) -> ! {
    panic!("idnow-webhooks-testkit: {what}")
}

/// Unwraps what only a broken crypto library could turn into an error.
pub(crate) trait OrFail<T> {
    fn or_fail(self, doing: &str) -> T;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    #[track_caller]
    fn or_fail(self, doing: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => fail(format_args!("{doing}: {error}")),
        }
    }
}
