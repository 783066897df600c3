mod answer;
mod contract;
mod sink;
mod site;

pub(crate) use answer::Answer;
pub(crate) use contract::Contract;
pub(crate) use sink::Sink;
pub(crate) use site::Site;
