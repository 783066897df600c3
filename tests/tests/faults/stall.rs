//! Whether the machine stood still. The receiver's own limits of time pass then, and it answers 503 as it should; but that is
//! another fault than the one that a row causes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(50);
/// The shortest of the limits that are set here and that no row wants to pass: the busy time-out of SQLite, where it is not
/// shortened. What is shorter is the noise of a busy machine, and explains nothing.
const STILL: Duration = Duration::from_secs(2);

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Watches from now on, until the process ends.
pub(crate) fn watch() {
    std::thread::spawn(|| {
        loop {
            let before = Instant::now();
            std::thread::sleep(LOOK);
            if before.elapsed() > STILL {
                COUNT.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
}

/// How often it stood still so far.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::SeqCst)
}
