use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::keys::{Algorithm, KeySet, SkippedKey};
use idnow_webhooks_core::{Clock, SystemClock};
use tracing::{debug, error, info, warn};

use crate::error::FetchError;

const TARGET: &str = "idnow_webhooks::keys";
const REFRESHES: &str = "idnow_webhooks_key_refreshes_total";
const SECONDS: &str = "idnow_webhooks_key_refresh_seconds";
const KEYS: &str = "idnow_webhooks_keys";
const FETCHED: &str = "idnow_webhooks_keys_fetched_timestamp_seconds";

/// Log lines and metrics of one key source; remembers what was said already.
pub(crate) struct Observer {
    location: Arc<str>,
    keys: Option<Arc<KeySet>>,
    skipped: Vec<SkippedKey>,
    compressed: bool,
}

impl Observer {
    pub(crate) fn new(location: Arc<str>) -> Self {
        metrics::describe_counter!(REFRESHES, "Fetches of the verification keys, by result");
        metrics::describe_histogram!(
            SECONDS,
            metrics::Unit::Seconds,
            "Duration of one fetch of the verification keys"
        );
        metrics::describe_gauge!(KEYS, "Usable verification keys");
        metrics::describe_gauge!(FETCHED, "When the verification keys were fetched, in seconds since 1970");
        // Whoever watches must also see that none were ever fetched.
        metrics::gauge!(KEYS, "location" => Arc::clone(&location)).set(0.0);
        Self { location, keys: None, skipped: Vec::new(), compressed: false }
    }

    pub(crate) fn succeeded(
        &mut self,
        keys: &Arc<KeySet>,
        took: Duration,
        lifetime: Duration,
        age: Duration,
    ) {
        let (location, usable) = (&*self.location, keys.len());
        let known = self.keys.replace(Arc::clone(keys));
        let (old, new) = (known.as_deref().map(by_id), by_id(keys));
        if old.as_ref() != Some(&new) {
            let old = old.unwrap_or_default();
            let replaced: Vec<_> = new
                .iter()
                .filter(|(key_id, keys)| old.get(*key_id).is_some_and(|old| old != *keys))
                .map(|(key_id, _)| key_id.unwrap_or("(no kid)"))
                .collect();
            info!(
                name: "keys.changed", target: TARGET,
                location, key_ids = ?keys.key_ids(), ?replaced, usable, "verification keys changed"
            );
        }
        if self.skipped != keys.skipped() {
            for skipped in keys.skipped() {
                warn!(
                    name: "keys.skipped", target: TARGET,
                    location, index = skipped.index, kid = ?skipped.key_id, reason = %skipped.reason,
                    "an entry of the key set is unusable and was left out"
                );
            }
            self.skipped = keys.skipped().to_vec();
        }
        debug!(
            name: "keys.refreshed", target: TARGET,
            location, usable, seconds = took.as_secs_f64(), lifetime_seconds = lifetime.as_secs(),
            age_seconds = age.as_secs(),
            "fetched the verification keys"
        );
        // A gauge is a float by definition; a key set has at most a thousand entries, and no second of ours is too large.
        #[allow(clippy::cast_precision_loss)]
        {
            metrics::gauge!(KEYS, "location" => Arc::clone(&self.location)).set(usable as f64);
            metrics::gauge!(FETCHED, "location" => Arc::clone(&self.location))
                .set(SystemClock.now().timestamp() as f64);
        }
        count("ok", took);
    }

    /// Logged once: it works, and only the operator of the key server can change it.
    pub(crate) fn compressed(&mut self) {
        if !std::mem::replace(&mut self.compressed, true) {
            info!(
                name: "keys.compressed", target: TARGET,
                location = &*self.location,
                "the key server, or a cache in front of it, answers in gzip though it is asked not to; it is decompressed here"
            );
        }
    }

    /// At debug, because caches that share the load disagree all the time; who suffers from it is told why.
    pub(crate) fn outdated(&self, keys: &KeySet, took: Duration, age: Duration) {
        debug!(
            name: "keys.outdated", target: TARGET,
            location = &*self.location, key_ids = ?keys.key_ids(), age_seconds = age.as_secs(),
            "a cache answered with older verification keys than the ones at hand, which are kept"
        );
        count("ok", took);
    }

    pub(crate) fn failed(&self, error: &FetchError, took: Duration, failures: u32, retry_in: Duration) {
        warn!(
            name: "keys.refresh_failed", target: TARGET,
            location = &*self.location, %error, failures, retry_in_seconds = retry_in.as_secs_f64(),
            "could not fetch the verification keys"
        );
        count("error", took);
    }

    pub(crate) fn too_stale(&mut self) {
        self.keys = None;
        error!(
            name: "keys.too_stale", target: TARGET,
            location = &*self.location,
            "the last good keys are too old to be trusted: nothing can be verified until a fetch succeeds"
        );
        metrics::gauge!(KEYS, "location" => Arc::clone(&self.location)).set(0.0);
    }
}

/// What makes a set another one: the keys and algorithms under each id, whatever their order in the document.
fn by_id(keys: &KeySet) -> BTreeMap<Option<&str>, BTreeSet<(Option<&str>, Algorithm)>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for key in keys.keys() {
        found.entry(key.key_id()).or_default().insert((key.thumbprint(), key.algorithm()));
    }
    found
}

fn count(result: &'static str, took: Duration) {
    metrics::counter!(REFRESHES, "result" => result).increment(1);
    metrics::histogram!(SECONDS).record(took.as_secs_f64());
}
