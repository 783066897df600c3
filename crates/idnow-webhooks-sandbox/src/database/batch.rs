//! What one commit takes along.

use super::attempts::{self, Recording, Taking, Terms};
use super::job::{Job, Reply};
use super::taken::{Begun, Loose, Taken};
use super::unit::Unit;
use crate::error::Error;

pub(super) enum Task {
    Take(Taking, Reply<Taken>),
    Record(Recording, Reply<()>),
    Other(Box<dyn Job>),
}

impl Task {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Take(_, reply) => reply.is_closed(),
            // What has happened is noted, whoever waits for it.
            Self::Record(..) => false,
            Self::Other(job) => job.is_abandoned(),
        }
    }
}

/// Tasks, sorted.
#[derive(Default)]
pub(super) struct Batch {
    /// Attempts that were given up.
    pub(super) orphans: Vec<Begun>,
    recordings: Vec<Recording>,
    recorded: Vec<Reply<()>>,
    jobs: Vec<Box<dyn Job>>,
    takings: Vec<Taking>,
    taken: Vec<Reply<Taken>>,
}

/// What came of a batch, in its order.
pub(super) struct Done {
    pub(super) recorded: Vec<Result<(), sqlx::Error>>,
    pub(super) jobs: Vec<Result<(), sqlx::Error>>,
    /// The inner error is a refusal.
    pub(super) taken: Vec<Result<Result<Taken, Error>, sqlx::Error>>,
}

impl Batch {
    pub(super) fn new(tasks: impl Iterator<Item = Task>, orphans: Vec<Begun>) -> Self {
        let mut batch = Self { orphans, ..Self::default() };
        for task in tasks {
            match task {
                Task::Record(recording, reply) => {
                    batch.recordings.push(recording);
                    batch.recorded.push(reply);
                }
                Task::Take(taking, reply) => {
                    batch.takings.push(taking);
                    batch.taken.push(reply);
                }
                Task::Other(job) => batch.jobs.push(job),
            }
        }
        batch
    }

    /// All of it by as few statements as possible. If anything fails, everything has.
    pub(super) async fn together(&mut self, unit: &mut Unit<'_>, terms: &Terms) -> Result<Done, sqlx::Error> {
        attempts::record(unit, &self.recordings).await?;
        // After what has come of attempts was noted: those have an outcome, and are not given up.
        if !self.orphans.is_empty() {
            attempts::give_up(unit, Some(&self.orphans)).await?;
        }
        let recorded = self.recordings.iter().map(|_| Ok(())).collect();
        let mut jobs = Vec::with_capacity(self.jobs.len());
        for job in &mut self.jobs {
            jobs.push(Ok(job.run(unit).await?));
        }
        // Last, so that they find what has just been made.
        let taken = attempts::take(unit, &self.takings, terms).await?;
        Ok(Done { recorded, jobs, taken: taken.into_iter().map(Ok).collect() })
    }

    /// Each of it by itself: what fails does so alone. It takes several times as long.
    pub(super) async fn apart(&mut self, unit: &mut Unit<'_>, terms: &Terms) -> Result<Done, sqlx::Error> {
        let mut done = Done { recorded: Vec::new(), jobs: Vec::new(), taken: Vec::new() };
        for recording in &self.recordings {
            let mark = unit.mark().await?;
            let recorded = attempts::record(unit, std::slice::from_ref(recording)).await;
            done.recorded.push(unit.settle(mark, recorded).await?);
        }
        for orphan in &self.orphans {
            let mark = unit.mark().await?;
            let given_up = attempts::give_up(unit, Some(&[*orphan])).await;
            if let Err(error) = unit.settle(mark, given_up).await? {
                tracing::error!(delivery = orphan.0, %error, "it stays under way until a restart");
            }
        }
        for job in &mut self.jobs {
            let mark = unit.mark().await?;
            let result = job.run(unit).await;
            done.jobs.push(unit.settle(mark, result).await?);
        }
        for taking in &self.takings {
            let mark = unit.mark().await?;
            let taken = attempts::take(unit, std::slice::from_ref(taking), terms).await;
            let taken = unit.settle(mark, taken).await?;
            done.taken.extend(match taken {
                Ok(taken) => taken.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            });
        }
        Ok(done)
    }

    /// Tells everybody. A caller that has gone away wants no answer: what it would have taken is put back.
    pub(super) fn answer(self, done: Result<Done, Error>, failure: impl Fn(sqlx::Error) -> Error) {
        match done {
            Ok(done) => {
                let recorded = self.recordings.iter().zip(self.recorded);
                for ((recording, reply), result) in recorded.zip(done.recorded) {
                    if result.is_ok() {
                        recording.loose.noted();
                    }
                    let _ = reply.send(result.map_err(&failure));
                }
                for (job, result) in self.jobs.into_iter().zip(done.jobs) {
                    job.answer(result.map_err(&failure));
                }
                for (reply, result) in self.taken.into_iter().zip(done.taken) {
                    let _ = reply.send(result.map_err(&failure).flatten());
                }
            }
            Err(error) => {
                for reply in self.recorded {
                    let _ = reply.send(Err(error.clone()));
                }
                for job in self.jobs {
                    job.answer(Err(error.clone()));
                }
                for reply in self.taken {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

impl Done {
    /// What has begun.
    pub(super) fn attempts(&self) -> impl Iterator<Item = &Loose> {
        let taken = self.taken.iter().filter_map(|taken| taken.as_ref().ok()?.as_ref().ok());
        taken.flat_map(|taken| taken.due.iter().map(|due| &due.loose))
    }
}
