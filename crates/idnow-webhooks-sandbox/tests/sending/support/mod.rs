mod sink;
mod world;

pub use sink::{Received, Reply, Sink};
pub use world::{ENVIRONMENT, World, eventually, status};
