//! Work of any kind, for the writer.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::unit::{Fault, Unit, Work};
use crate::error::Error;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// [`Work`] of any kind, and who waits for it.
#[async_trait]
pub(crate) trait Job: Send {
    /// Whether nobody waits for it any more. It is not begun then.
    fn is_abandoned(&self) -> bool;
    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error>;
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

pub(crate) struct Pending<W: Work> {
    work: W,
    reply: Reply<W::Output>,
    output: Option<Result<W::Output, Error>>,
}

impl<W: Work> Pending<W> {
    pub(crate) fn new(work: W, reply: Reply<W::Output>) -> Self {
        Self { work, reply, output: None }
    }
}

#[async_trait]
impl<W: Work> Job for Pending<W> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error> {
        self.output = None;
        self.output = Some(match self.work.run(unit).await {
            Ok(output) => Ok(output),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let result = match (committed, self.output) {
            // What was refused was refused, whatever became of the others.
            (_, Some(Err(refused))) => Err(refused),
            (Ok(()), Some(Ok(output))) => Ok(output),
            (Ok(()), None) => Err(Error::unavailable("it was not run")),
            (Err(error), _) => Err(error),
        };
        // A caller that has gone away wants no answer.
        let _ = self.reply.send(result);
    }
}
