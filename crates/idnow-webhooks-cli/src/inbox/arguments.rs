//! The command line.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Subcommand};
use idnow_webhooks::AdmitOptions;
use idnow_webhooks::store::EventState;

const STORE_HELP: &str = "\
The store, as the server has it in IDNOW_STORE: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.

Without the option, the variable IDNOW_STORE is used, or the file in IDNOW_STORE_FILE, and without both \
`sqlite:idnow-webhooks.db`. Other users of the machine can see the options of a command: give a URL with a password in the variable instead.";

const EXAMPLES: &str = "\
Examples:
  idnow-webhooks inbox list --state dead
  idnow-webhooks inbox --store sqlite:/var/lib/shop/idnow-webhooks.db show d1b2a6f0-4c1e-4d0a-9d0e-0a4c5f3b7e21
  idnow-webhooks inbox retry-dead
  idnow-webhooks inbox purge --older-than 30d --dead
  idnow-webhooks inbox list --state dead --json | jq -r '.[].error'

Exit codes: 0 done, 1 not done or not for every event, 2 wrong usage.";

const LIST_EXAMPLES: &str = "\
Examples:
  idnow-webhooks inbox list --state dead --limit 10
  idnow-webhooks inbox list --session 6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11
  idnow-webhooks inbox list --name session.completed --before 1200
  idnow-webhooks inbox list --json --limit 1000 | jq 'map(.id)'";

const PARKED_EXAMPLES: &str = "\
Examples:
  idnow-webhooks inbox parked
  idnow-webhooks inbox parked --json --limit 1000 | jq -r '.[].reason' | sort | uniq -c";

const RETRY_EXAMPLES: &str = "\
Example:
  idnow-webhooks inbox retry d1b2a6f0-4c1e-4d0a-9d0e-0a4c5f3b7e21 0f5a4f0e-93f5-4a52-8c0e-6a3e5d1c7b90";

const ADMIT_EXAMPLES: &str = "\
Examples:
  IDNOW_ENVIRONMENT=production IDNOW_AUDIENCE=https://bank.example/webhooks/idnow idnow-webhooks inbox admit --dry-run
  idnow-webhooks inbox admit
  idnow-webhooks inbox admit --as-of-issue d1b2a6f0-4c1e-4d0a-9d0e-0a4c5f3b7e21";

const PURGE_EXAMPLES: &str = "\
Examples:
  idnow-webhooks inbox purge --older-than 30d
  idnow-webhooks inbox purge --older-than 12h --dead --yes";

/// Lists, shows, retries and purges the events in a store, and lists parked tokens.
///
/// It opens the store of a server, which may be running: what is retried here is handled by the server's worker.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The store: `sqlite:PATH` or `postgres://...` [default: the variable `IDNOW_STORE`]
    #[arg(long, global = true, value_name = "STORE", long_help = STORE_HELP)]
    pub(super) store: Option<String>,

    /// Prints one JSON document, for other programs
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists events, the latest first
    #[command(after_help = LIST_EXAMPLES)]
    List(List),

    /// Shows all that is known of one event
    Show {
        /// The `eventId`
        #[arg(value_name = "EVENT_ID")]
        event_id: String,
    },

    /// Has a worker handle dead letters, or events that wait, at once
    ///
    /// Their runs are counted anew. Events that are completed, or that run, are left alone. Exits with 1 if not every
    /// event was queued.
    #[command(after_help = RETRY_EXAMPLES)]
    Retry {
        /// The `eventId` of each
        #[arg(value_name = "EVENT_ID", required = true)]
        event_ids: Vec<String>,
    },

    /// Has a worker handle all dead letters, the oldest first
    RetryDead {
        /// At most so many
        #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
        limit: Option<usize>,
    },

    /// Verifies parked tokens again, under the settings of this environment, and queues their events
    ///
    /// A receiver parks a genuine token that does not fit its settings or its clock: a wrong audience, for example. Correct
    /// the variables (`IDNOW_AUDIENCE`, ...), set them here too, and admit what was parked meanwhile. Each token is judged
    /// by the time of its receipt, and with the keys that are published now. Exits with 1 if some still do not fit.
    #[command(after_help = ADMIT_EXAMPLES)]
    Admit(Admit),

    /// Forgets parked tokens, for good
    ///
    /// They are forgotten by themselves after 7 days, or with the retention of completed events if that is shorter. Exits
    /// with 1 if one was not there.
    Unpark {
        /// The `eventId`, or the id of the parked token
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },

    /// Forgets completed events, or dead letters, for good
    ///
    /// Completed events are how late duplicates are recognised: they must be two hours old, at least. With them go the parked
    /// tokens that are as old: their events may be among the completed ones. It runs beside the server, in small steps.
    #[command(after_help = PURGE_EXAMPLES)]
    Purge(Purge),

    /// Lists parked tokens, the oldest first
    ///
    /// A token is parked if the provider has signed it, and it was refused because it does not fit the receiver's settings
    /// or its clock. The reason says what was expected, what was seen, and which setting to correct. A store keeps each
    /// for 7 days, and at most 10,000 for each issuer and audience. The tokens themselves are never shown.
    #[command(after_help = PARKED_EXAMPLES)]
    Parked(Parked),

    /// Says how many events wait, run, are completed and are dead letters, and how many tokens are parked
    Stats,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only events in this state
    #[arg(long, value_parser = state())]
    pub(super) state: Option<EventState>,

    /// Only events of this name, `session.completed` for example
    #[arg(long)]
    pub(super) name: Option<String>,

    /// Only events of this session
    #[arg(long, value_name = "ID")]
    pub(super) session: Option<String>,

    /// At most so many events, 1 to 1000
    #[arg(long, value_name = "N", default_value = "50",
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(super) limit: usize,

    /// Only what arrived before the event at this position: the `position` of the last one you have seen
    #[arg(long, value_name = "POSITION")]
    pub(super) before: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct Admit {
    /// Only these: the `eventId`, or the id of the parked token [default: all]
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,

    /// Says which would be admitted, and changes nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Judges each token by the time of its issue: for tokens that came while this machine's clock was wrong
    ///
    /// By a day at most. An old token that somebody recorded and sent again looks the same, so name those that you mean.
    #[arg(long, requires = "ids")]
    pub(super) as_of_issue: bool,

    /// Believes the key that verified a token when it came, even if it is not published any more
    ///
    /// Use it only if you know why the key is gone: it may have been withdrawn because others know it.
    #[arg(long)]
    pub(super) trust_stored_key: bool,
}

impl Admit {
    pub(super) fn options(&self) -> AdmitOptions {
        AdmitOptions::new().as_of_issue(self.as_of_issue).trust_stored_key(self.trust_stored_key)
    }
}

#[derive(Debug, Args)]
pub(super) struct Parked {
    /// At most so many tokens, 1 to 1000
    #[arg(long, value_name = "N", default_value = "50",
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(super) limit: usize,

    /// Only what arrived after the token at this position: the `position` of the last one you have seen
    #[arg(long, value_name = "POSITION", default_value = "0", hide_default_value = true)]
    pub(super) after: i64,
}

#[derive(Debug, Args)]
pub(super) struct Purge {
    /// Only what was finished at least so long ago: `30d`, `12h`, `90m`, `1day 6h`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) older_than: Duration,

    /// Dead letters instead of completed events
    #[arg(long)]
    pub(super) dead: bool,

    /// Does not ask
    #[arg(long)]
    pub(super) yes: bool,
}

impl Purge {
    pub(super) fn state(&self) -> EventState {
        if self.dead { EventState::Dead } else { EventState::Completed }
    }
}

fn state() -> impl TypedValueParser<Value = EventState> {
    PossibleValuesParser::new(EventState::ALL.map(EventState::name)).try_map(|name| {
        EventState::ALL.into_iter().find(|state| state.name() == name).ok_or("there is no such state")
    })
}

/// An error like those that clap finds by itself: it is printed with the usage, and the exit code is 2.
pub(super) fn wrong_usage(reason: impl std::fmt::Display) -> clap::Error {
    let mut whole = crate::Arguments::command();
    whole.build();
    let command = match whole.find_subcommand_mut("inbox") {
        Some(inbox) => inbox,
        None => &mut whole,
    };
    command.error(ErrorKind::ValueValidation, reason)
}
