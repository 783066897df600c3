mod sink;
mod world;

pub use sink::{Reply, Seen, Sink};
pub use world::{World, everything};
