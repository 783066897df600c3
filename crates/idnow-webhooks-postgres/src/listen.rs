//! Telling other processes of new events, and hearing from them. What is lost here is found by polling.

use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::telemetry::quietly;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::core::Core;
use crate::error::explain;
use crate::work::LIMIT;

/// Between two notifications: a commit with one takes a lock that all of the server's databases share.
const PAUSE: Duration = Duration::from_millis(50);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

fn channel(core: &Core) -> String {
    format!("idnow_webhooks_{:016x}", core.schema.key)
}

/// Sends notifications, in transactions of their own.
pub(crate) async fn tell(core: Arc<Core>, myself: String) {
    let channel = channel(&core);
    loop {
        core.news.notified().await;
        let notify = async {
            let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(&channel).bind(&myself);
            notify.execute(&mut *core.own.acquire().await?).await
        };
        match tokio::time::timeout(LIMIT, notify).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                quietly(|| {
                    tracing::debug!(
                        error = explain("notifying other processes of new events", &error),
                        "not notified"
                    );
                });
            }
            Err(_) => quietly(|| {
                tracing::debug!(
                    "other processes were not notified of new events: the server does not answer"
                );
            }),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Hears notifications, on a connection of its own.
pub(crate) async fn hear(core: Arc<Core>, myself: String) {
    let mut wait = FIRST_WAIT;
    loop {
        let Err(error) = listen(&core, &myself, &mut wait).await;
        quietly(|| tracing::debug!(error = explain("listening for new events", &error), "will listen again"));
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

async fn listen(
    core: &Core,
    myself: &str,
    wait: &mut Duration,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(&of_its_own(&core.own.options())).await?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    listener.listen(&channel(core)).await?;
    *wait = FIRST_WAIT;
    // Something may have come while nobody listened.
    core.bell.ring();
    while let Some(notification) = listener.try_recv().await? {
        if notification.payload() != myself {
            core.bell.ring();
        }
    }
    Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()))
}

/// A connection that listens is never free again, so it must not be one of the pool.
fn of_its_own(server: &PgConnectOptions) -> PgPool {
    let options = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    options.acquire_timeout(LIMIT).connect_lazy_with(server.clone())
}
