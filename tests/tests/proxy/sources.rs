//! Where a delivery comes from, seen through the proxy.

use idnow_webhooks_testkit::SampleEvent;

use crate::nginx::{edit, in_front_of};
use crate::{Answer, Nginx, PATH, PROVIDER, STRANGER, World, delivery, send};

/// Headers by which a stranger claims to be the provider.
const CLAIMS: [&[(&str, &str)]; 6] = [
    &[("x-forwarded-for", PROVIDER)],
    &[("x-forwarded-for", "127.0.0.2, 127.0.0.1")],
    &[("x-forwarded-for", PROVIDER), ("x-forwarded-for", PROVIDER)],
    &[("forwarded", "for=127.0.0.2")],
    &[("forwarded", "for=127.0.0.2"), ("x-forwarded-for", PROVIDER)],
    &[("x-real-ip", PROVIDER), ("x-client-ip", PROVIDER)],
];

/// By `docs/nginx.conf`, and by its variant that appends, which other proxies do.
fn both_ways(receiver: std::net::SocketAddr) -> [String; 2] {
    let replaces = in_front_of(&[receiver]);
    let appends =
        edit(&replaces, "X-Forwarded-For $remote_addr;", "X-Forwarded-For $proxy_add_x_forwarded_for;");
    [replaces, appends]
}

#[tokio::test]
async fn a_genuine_delivery_is_accepted_from_its_real_address() {
    let world = World::new();
    let receiver = world.receiver().await;
    let nginx = Nginx::start(&in_front_of(&[receiver.address]));
    let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));

    let token = world.provider.token(&SampleEvent::completed());
    assert_eq!(delivery(&client, &url, token.clone()).send().await.unwrap().status(), 200);
    // What a stranger in between might have added does no harm.
    let token = world.provider.token(&SampleEvent::completed());
    let request = delivery(&client, &url, token).header("forwarded", "for=192.0.2.1");
    assert_eq!(request.header("x-forwarded-for", "192.0.2.1").send().await.unwrap().status(), 200);

    let log = receiver.log();
    let accepted: Vec<_> = log.lines().filter(|line| line.contains("delivery accepted")).collect();
    assert_eq!(accepted.len(), 2, "{log}");
    for line in accepted {
        assert!(line.contains("source=127.0.0.2"), "{line}");
    }
}

#[tokio::test]
async fn no_header_gets_a_stranger_past_the_allow_list() {
    let world = World::new();
    let receiver = world.receiver().await;
    for configuration in both_ways(receiver.address) {
        let nginx = Nginx::start(&configuration);
        let client = nginx.client(STRANGER);
        let (behind, beside) = (nginx.url(PATH), format!("http://{}{PATH}", receiver.address));
        for claims in CLAIMS {
            // Past the proxy, the connection's own address is that of no trusted proxy.
            for url in [&behind, &beside] {
                let token = world.provider.token(&SampleEvent::completed());
                let claim = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
                    request.header(*name, *value)
                };
                let request = claims.iter().fold(delivery(&client, url, token), claim);
                let refused = Answer::of_the_receiver(403, "source_not_allowed");
                assert_eq!(send(request).await, refused, "{claims:?} to {url}");
            }
        }
        // The same delivery is only refused for where it comes from.
        let token = world.provider.token(&SampleEvent::completed());
        let genuine = delivery(&nginx.client(PROVIDER), &behind, token).send().await.unwrap();
        assert_eq!(genuine.status(), 200);
    }
}

#[tokio::test]
async fn nothing_but_the_webhook_is_to_be_had_from_outside() {
    let world = World::new();
    let receiver = world.receiver().await;
    let nginx = Nginx::start(&in_front_of(&[receiver.address]));
    for path in ["/health", "/", "/webhooks/idnow/", "/webhooks/idnow/../../health"] {
        let answer = nginx.client(PROVIDER).get(nginx.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let answer = send(nginx.client(PROVIDER).get(nginx.url(PATH))).await;
    assert_eq!(answer, Answer::of_the_receiver(405, "method_not_allowed"));
}
