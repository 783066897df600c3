//! `idnow-webhooks demo`: a sandbox, a reverse proxy, a receiver and a forger, on this machine.

mod answer;
mod arguments;
mod forger;
mod print;
mod provider;
mod receiver;
mod script;
mod stage;
mod wire;

use std::time::Duration;

use crate::Failure;
use crate::stop::Stop;
pub(crate) use arguments::Arguments;
use print::{Places, Report};
use provider::{Provider, TIME_SCALE};
use receiver::{Framework, Site};
use stage::Stage;
use wire::Wire;

/// What is waited for takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the whole script. Gives `false` if an answer was not the expected one.
pub(crate) async fn run(arguments: Arguments) -> Result<bool, Failure> {
    let stop = Stop::watch()?;
    let mut report = Report::new(arguments.json);
    let shown = async {
        for framework in arguments.frameworks() {
            show(*framework, &mut report).await?;
        }
        Ok::<_, Failure>(report.finish()?)
    };
    tokio::select! {
        shown = shown => shown,
        () = stop.asked() => Err("stopped before the end".into()),
    }
}

async fn show(framework: Framework, report: &mut Report) -> Result<(), Failure> {
    let wire = Wire::start().await?;
    let provider = Provider::start(&wire.url()).await?;
    let site = Site::new(framework, provider.issuer(), &wire.url())?;
    let mut stage = Stage::new(&provider, &wire, &site, report)?;
    stage.start().await?;
    let places = Places {
        provider: provider.url(),
        time_scale: TIME_SCALE,
        proxy: &wire.url(),
        receiver: &stage.running()?.url(),
        store: &site.file().display().to_string(),
    };
    stage.report.opening(framework, &places)?;
    stage.play().await?;
    stage.stop().await?;
    provider.stop().await;
    Ok(())
}
