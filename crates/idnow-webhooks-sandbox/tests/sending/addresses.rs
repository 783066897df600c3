//! Where nothing is sent to. All spellings of addresses, and names that lead to private ones, are tried beside the
//! guard itself; here it is the whole way, from an endpoint to a dead letter.

use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{Answer, DeadReason, DeliveryState, NewEndpoint};

use crate::support::{ENVIRONMENT, Sink, World};

/// Either it cannot even be saved, or it is a dead letter that says why, at once.
async fn is_refused(world: &World, url: &str, environment: &str) -> String {
    let mut new = NewEndpoint::new(world.flow, environment, url);
    new.description = "to be refused".into();
    let endpoint = match world.sandbox.create_endpoint(new).await {
        Ok(endpoint) => endpoint,
        Err(error) => return error.to_string(),
    };
    let (delivery, attempts) = world.send_one(&endpoint).await;
    assert_eq!(
        (delivery.state, delivery.dead_reason),
        (DeliveryState::Dead, Some(DeadReason::InvalidUrl)),
        "{url}"
    );
    assert_eq!(attempts.len(), 1, "{url}");
    match &attempts[0].answer {
        Some(Answer::NotSent { reason }) => reason.clone(),
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn private_networks_are_refused() {
    let world = World::hasty().await;
    let urls =
        ["https://10.0.0.1/", "https://0xa.1/", "https://[fd00::1]/", "https://[::ffff:192.168.0.1]:8443/"];
    for (number, url) in urls.into_iter().enumerate() {
        let reason = is_refused(&world, url, &format!("refused-{number}")).await;
        assert!(reason.contains("private network"), "{reason}");
    }
    for (number, url) in
        ["https://169.254.169.254/", "https://2852039166/", "https://0/"].into_iter().enumerate()
    {
        is_refused(&world, url, &format!("never-{number}")).await;
    }
}

#[tokio::test]
async fn public_only_means_not_even_this_machine() {
    let builder = Sandbox::builder().time_scale(1000.0).max_retries(1).public_only(true);
    let (world, sink) = (World::start(builder).await, Sink::ok().await);
    let port = sink.address.port();
    let urls = [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("https://0177.0.0.1:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        "https://192.168.1.1/".to_owned(),
        "https://100.64.0.1/".to_owned(),
    ];
    for (number, url) in urls.iter().enumerate() {
        is_refused(&world, url, &format!("{ENVIRONMENT}-{number}")).await;
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn localhost_is_allowed_because_it_leads_to_loopback() {
    let (world, sink) = (World::hasty().await, Sink::ok().await);
    let endpoint = world.endpoint(&format!("http://localhost:{}/", sink.address.port())).await;
    let (delivery, attempts) = world.send_one(&endpoint).await;
    assert_eq!(delivery.state, DeliveryState::Delivered, "{attempts:?}");
}
