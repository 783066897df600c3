use super::Sandbox;
use crate::chaos::{Chaos, ChaosReport};
use crate::error::Error;

/// # Chaos
#[expect(clippy::unused_async, reason = "calls are alike, wherever they find the answer")]
impl Sandbox {
    /// What chaos there is, and what has come of it since it was set.
    ///
    /// # Errors
    ///
    /// None yet.
    pub async fn chaos(&self) -> Result<ChaosReport, Error> {
        Ok(self.state().chaos().report())
    }

    /// Sets what goes wrong with attempts that begin from now on; nothing, with `None`. The counts begin anew with new
    /// settings, and stay as they are without.
    ///
    /// It is not kept: a sandbox starts with what its [builder](crate::SandboxBuilder::chaos) says.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the fault whose probability is none.
    pub async fn set_chaos(&self, chaos: impl Into<Option<Chaos>> + Send) -> Result<ChaosReport, Error> {
        let chaos = chaos.into();
        if let Some(chaos) = &chaos {
            chaos.check()?;
        }
        self.state().chaos().set(chaos);
        Ok(self.state().chaos().report())
    }
}
