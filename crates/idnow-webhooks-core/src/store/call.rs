//! Calls of a store, which somebody else may have written.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::StoreError;
use crate::handler::panic_message;
use crate::telemetry;

/// Takes a panic for an error: it must stop neither a worker nor a server's connection.
pub(crate) async fn guarded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        Err(StoreError::unavailable(format!("the store panicked: {}", panic_message(&*panic))))
    })
}

/// [`guarded`], and notes how long it took.
pub(crate) async fn measured<T>(
    name: &'static str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let started = Instant::now();
    let result = guarded(call).await;
    telemetry::work::store_call(name, &result, started);
    result
}
