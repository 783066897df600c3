//! `idnow-webhooks demo`: a real receiver, a real key server and a sender, on this machine.

mod print;
mod receiver;
mod script;

use std::error::Error;

use idnow_webhooks_testkit::{KeyServer, Provider, SigningKey};
use reqwest::{Client, StatusCode};

use receiver::Demo;
use script::{Chapter, Step};

type Failure = Box<dyn Error + Send + Sync>;

/// Where a delivery comes from, for the step that pretends another source.
const STRANGER: &str = "203.0.113.9";

/// Runs the whole script. Gives `false` if an answer was not the expected one.
pub(crate) async fn run() -> Result<bool, Failure> {
    let keys = KeyServer::start()?;
    let provider = Provider::new().with_key(SigningKey::shared()).with_issuer(keys.issuer());
    keys.publish(&[provider.key()]);
    let demo = Demo::start(&keys).await?;
    let provider = provider.with_audience(demo.url());
    print::opening(demo.url(), demo.file(), keys.issuer());

    // Plain HTTP only, so the demo also runs where no root certificates are installed.
    let client = Client::builder().no_proxy().tls_certs_only([]).build()?;
    let (mut right, mut wrong) = (0, 0);
    for Chapter { title, steps } in script::chapters(&provider) {
        print::title(title);
        for step in steps {
            if let Some(key) = &step.publish {
                keys.publish(&[key]);
            }
            let (status, code) = post(&client, demo.url(), &step).await?;
            let calls = demo.take_calls().await?;
            let as_expected = status == step.status && calls == step.calls;
            print::step(&step, status, code.as_deref(), &calls, as_expected);
            if as_expected { right += 1 } else { wrong += 1 }
        }
    }
    print::summary(right, wrong);
    Ok(wrong == 0)
}

/// Sends a delivery. Gives the status, and the machine code of a refusal.
async fn post(client: &Client, url: &str, step: &Step) -> Result<(StatusCode, Option<String>), Failure> {
    let mut request = client.post(url).header("content-type", "application/jwt").body(step.token.clone());
    if step.from_stranger {
        request = request.header("x-forwarded-for", STRANGER);
    }
    let response = request.send().await?;
    let status = response.status();
    let problem: Option<serde_json::Value> = serde_json::from_slice(&response.bytes().await?).ok();
    let code = problem.and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned()));
    Ok((status, code))
}
