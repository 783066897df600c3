//! `idnow-webhooks inbox`: what operators do with the events in a store.

mod admit;
mod arguments;
mod change;
mod look;
mod output;
mod source;
mod table;

use chrono::{DateTime, Utc};
use idnow_webhooks::settings::environment;
use idnow_webhooks::{Clock, SystemClock};

pub(crate) use arguments::Arguments;
use arguments::Command;
use output::Output;
use source::Source;

use crate::{Failure, text};

/// Does what the arguments say. Gives `false` if it could not be done for every event. Wrong usage is a
/// [`clap::Error`].
pub(crate) async fn run(Arguments { store, json, command }: Arguments) -> Result<bool, Failure> {
    let source = environment()
        .map_err(|error| error.to_string())
        .and_then(|variables| Source::find(store, variables))
        .map_err(arguments::wrong_usage)?;
    if let Command::Purge(purge) = &command {
        change::check(purge).map_err(arguments::wrong_usage)?;
    }
    let store = source.open().await?;
    let output = &mut Output::new(json);
    match command {
        Command::List(list) => look::list(&*store, list, now(), output).await,
        Command::Show { event_id } => look::show(&*store, &event_id, now(), output).await,
        Command::Retry { event_ids } => change::retry(&*store, &event_ids, output).await,
        Command::RetryDead { limit } => change::retry_dead(&*store, limit, output).await,
        Command::Admit(admit) => admit::admit(store, &admit, output).await,
        Command::Unpark { ids } => admit::unpark(&*store, &ids, output).await,
        Command::Purge(purge) => change::purge(&*store, &purge, &source, output).await,
        Command::Parked(parked) => look::parked(&*store, &parked, now(), output).await,
        Command::Stats => look::stats(&*store, output).await,
    }
}

fn now() -> DateTime<Utc> {
    SystemClock.now()
}

#[cfg(test)]
mod tests;
