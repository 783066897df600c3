//! Whether the database takes what is written.

use async_trait::async_trait;

use super::unit::{Fault, Unit, Work};

/// Changes nothing, but is written and synchronised like any change: so it fails where another one would.
pub(crate) struct Check;

#[async_trait]
impl Work for Check {
    type Output = ();

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        sqlx::query("UPDATE keys SET state = state WHERE id = (SELECT max(id) FROM keys)")
            .execute(&mut *unit.connection)
            .await?;
        Ok(())
    }
}
