//! Chaos: what goes wrong between a provider and its receivers, on purpose and repeatably.
//!
//! There are two kinds of [`Fault`]. Most make a genuine attempt a hard one: a receiver must cope with it, and the event
//! must still arrive. They never happen to the last attempt that a delivery has left, so that they cannot use up its retries.
//! The others are requests of their own, sent right before the genuine one: forgeries and stale tokens, which
//! no receiver should accept. Their answers decide nothing; they are counted, and kept with the attempt.
//!
//! A receiver may need 10 s to learn of a new key, whatever the time scale. So chaos rotates the keys only for an attempt
//! whose retries take longer than that, and attempts whose retries end sooner after a rotation are signed with the key before.
//!
//! An attempt that is held is signed when it is sent, and goes by what its endpoint is then. At most 1,000 attempts of an
//! endpoint are held at the same time.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use idnow_webhooks_sandbox::{Chaos, Sandbox};
//!
//! let chaos: Chaos = "seed=7,duplicate=0.2,reorder=0.3,corrupt=0.1".parse()?;
//! let sandbox = Sandbox::builder().chaos(chaos).start().await?;
//! // ... sessions run, and a receiver copes ...
//! assert_eq!(sandbox.chaos().await?.forgeries_accepted, 0);
//! sandbox.set_chaos(None).await?;
//! # sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

pub(crate) mod dice;
pub(crate) mod engine;
pub(crate) mod held;
mod keys;
mod plan;
mod report;

pub use plan::{Chaos, Fault, ParseChaosError};
pub use report::{ChaosReport, FaultCount, ForgeryCount, Inflicted};
