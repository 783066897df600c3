use idnow_webhooks_sandbox::model::{EndpointChange, Header, NewEndpoint, PageRequest};
use idnow_webhooks_sandbox::{Client, Sandbox};

use super::{NOBODY, flow};

const HUSH: &str = "hush-hush-hush-hush";

#[tokio::test]
async fn secrets_are_in_no_answer() {
    let sandbox =
        Sandbox::builder().access_token(HUSH).client(Client::new("me", HUSH)).start().await.unwrap();
    let flow = flow(&sandbox).await;
    let mut new = NewEndpoint::new(flow.id, "staging", NOBODY);
    new.enabled = false;
    new.headers = vec![Header { name: "X-Auth-Token".into(), value: HUSH.into() }];
    let debug = format!("{new:?}");
    let made = sandbox.create_endpoint(new).await.unwrap();
    // What was read can be sent back: the mask keeps the value.
    let change = EndpointChange { headers: Some(made.headers.clone()), ..EndpointChange::default() };
    let changed = sandbox.change_endpoint(made.id, change).await.unwrap();
    let listed = sandbox.endpoints(None, None, PageRequest::default()).await.unwrap();
    let one = sandbox.endpoint(made.id).await.unwrap();
    assert!(listed.items.iter().chain([&made, &changed, &one]).all(|one| one.headers[0].value == "********"));
    for text in [
        debug,
        serde_json::to_string(&listed).unwrap(),
        serde_json::to_string(&made).unwrap(),
        format!("{made:?}{changed:?}{one:?}{listed:?}"),
        format!("{sandbox:?}"),
        format!("{:?}", sandbox.clients()),
    ] {
        assert!(!text.contains(HUSH), "{text}");
    }
}

#[tokio::test]
async fn a_client_is_made_if_none_is_set() {
    let (one, other) = (super::start().await, super::start().await);
    let ([first], [second]) = (one.clients(), other.clients()) else { panic!() };
    assert_eq!(first.secret.len(), 43);
    assert_ne!(first.secret, second.secret);
    assert_ne!(first.id, second.id);
}
