//! What the sandbox knows: plain values, as the management API shows them.

mod counts;
mod delivery;
mod endpoint;
mod event;
mod flow;
mod key;
mod page;
mod scenario;
mod session;

pub use counts::{Counts, DeliveryCounts, SessionCounts};
pub use delivery::{Answer, Attempt, DeadReason, Delivery, DeliveryFilter, DeliveryState};
pub(crate) use endpoint::MASK;
pub use endpoint::{Endpoint, EndpointChange, Header, NewEndpoint, TokenPlace};
pub use event::{Event, EventKind};
pub use flow::{Flow, NewFlow};
pub use key::{Key, KeyState};
pub use page::{Page, PageRequest};
pub use scenario::{Scenario, ScenarioKind};
pub use session::{LastStep, NewSession, Outcome, Session, SessionFilter, SessionStatus, Step};
