//! All that takes part.

use reqwest::Client;

use super::Failure;
use super::answer::Answer;
use super::print::{Report, Right};
use super::provider::Provider;
use super::receiver::{Running, Site};
use super::wire::Wire;

/// Where deliveries come from, and where one comes from that pretends to be one.
pub(super) const KNOWN: &str = "127.0.0.1";
pub(super) const STRANGER: &str = "203.0.113.9";

pub(super) struct Stage<'a> {
    pub(super) provider: &'a Provider,
    pub(super) wire: &'a Wire,
    pub(super) site: &'a Site,
    pub(super) report: &'a mut Report,
    /// The forger's.
    client: Client,
    running: Option<Running>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        provider: &'a Provider,
        wire: &'a Wire,
        site: &'a Site,
        report: &'a mut Report,
    ) -> Result<Self, Failure> {
        // Plain HTTP only, so the demo also runs where no root certificates are installed.
        let client = Client::builder().no_proxy().tls_certs_only([]).build()?;
        Ok(Self { provider, wire, site, report, client, running: None })
    }

    /// Compares what came of a step with what is right.
    pub(super) async fn judge(
        &mut self,
        what: &str,
        answers: &[Answer],
        right: &[&str],
        callbacks: &[&str],
    ) -> Result<(), Failure> {
        let calls = self.site.take_calls(self.running()?).await?;
        Ok(self.report.step(what, answers, &calls, &Right { answers: right, callbacks })?)
    }

    /// Sends what the forger has made, and sees that no callback runs.
    pub(super) async fn forge(
        &mut self,
        what: &str,
        token: String,
        from: &str,
        right: &[&str],
    ) -> Result<(), Failure> {
        let request = self.client.post(self.running()?.url()).header("content-type", "application/jwt");
        let response = request.header("x-forwarded-for", from).body(token).send().await?;
        let status = response.status().as_u16();
        let answer = Answer::new(status, &response.text().await?);
        self.judge(what, &[answer], right, &[]).await
    }

    /// Stops the receiver. Whoever asks meanwhile finds nobody.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        self.wire.lead_nowhere();
        match self.running.take() {
            Some(running) => running.stop().await,
            None => Ok(()),
        }
    }

    /// Starts it again, with the store as it was left.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        let running = self.site.start().await?;
        self.wire.lead_to(&running.url())?;
        self.running = Some(running);
        Ok(())
    }

    pub(super) fn running(&self) -> Result<&Running, Failure> {
        self.running.as_ref().ok_or_else(|| "the receiver does not run".into())
    }
}
