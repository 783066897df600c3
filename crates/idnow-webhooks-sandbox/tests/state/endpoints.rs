use idnow_webhooks_sandbox::model::{
    DeliveryFilter, EndpointChange, Header, NewEndpoint, NewFlow, Page, PageRequest, SessionFilter,
    TokenPlace,
};
use idnow_webhooks_sandbox::{Error, Sandbox};
use uuid::Uuid;

use super::{NOBODY, endpoint, field, flow, start};

type Spoil = fn(&mut NewEndpoint);

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

#[tokio::test]
async fn a_flow_is_made_read_and_deleted() {
    let sandbox = start().await;
    let flow = flow(&sandbox).await;
    assert_eq!(sandbox.flow(flow.id).await.unwrap(), flow);
    let endpoint = endpoint(&sandbox, &flow).await;
    let refused = sandbox.delete_flow(flow.id).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict { reason } if reason.contains("endpoints")), "{refused:?}");
    sandbox.delete_endpoint(endpoint.id).await.unwrap();
    sandbox.delete_flow(flow.id).await.unwrap();
    for error in [
        sandbox.flow(flow.id).await.unwrap_err(),
        sandbox.delete_flow(flow.id).await.unwrap_err(),
        sandbox.create_endpoint(NewEndpoint::new(flow.id, "staging", NOBODY)).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::NotFound { what: "flow", id } if *id == flow.id.to_string()),
            "{error:?}"
        );
    }
    assert!(sandbox.flows(PageRequest::default()).await.unwrap().items.is_empty());
}

/// Who comes at the same time finds the one or the other, never an endpoint without its flow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_is_not_deleted_under_its_endpoints() {
    let sandbox = start().await;
    for _ in 0..20 {
        let flow = flow(&sandbox).await;
        let (deleted, made) = futures_util::future::join(
            sandbox.delete_flow(flow.id),
            sandbox.create_endpoint(NewEndpoint::new(flow.id, "staging", NOBODY)),
        )
        .await;
        assert!(deleted.is_ok() != made.is_ok(), "{deleted:?} {made:?}");
    }
}

#[tokio::test]
async fn what_is_invalid_is_refused_with_its_name_and_the_reason() {
    let sandbox = start().await;
    let flow = flow(&sandbox).await;
    let error =
        sandbox.create_flow(NewFlow { name: String::new(), session_ttl_seconds: 1 }).await.unwrap_err();
    assert_eq!(field(&error), "name");
    let error = sandbox.create_flow(NewFlow { name: "a".into(), session_ttl_seconds: 0 }).await.unwrap_err();
    assert_eq!(field(&error), "sessionTtlSeconds");

    let good = NewEndpoint::new(flow.id, "staging", NOBODY);
    let cases: [(&str, Spoil); 7] = [
        ("environment", |new| new.environment = "a/b".into()),
        ("url", |new| new.url = "http://receiver.example/".into()),
        ("description", |new| new.description = "x".repeat(501)),
        ("headers", |new| new.headers = vec![header("Host", "x")]),
        ("headers", |new| new.headers = vec![header("X-A", "a\r\nX-B: b")]),
        ("events", |new| new.events = ["session.complete".to_owned()].into()),
        ("concurrency", |new| new.concurrency = 0),
    ];
    for (name, spoil) in cases {
        let mut new = good.clone();
        spoil(&mut new);
        assert_eq!(field(&sandbox.create_endpoint(new).await.unwrap_err()), name);
    }
    let made = sandbox.create_endpoint(good).await.unwrap();
    for (name, change) in [
        ("url", EndpointChange { url: Some("nonsense".into()), ..EndpointChange::default() }),
        ("description", EndpointChange { description: Some("\0".into()), ..EndpointChange::default() }),
        ("headers", EndpointChange { headers: Some(vec![header("", "x")]), ..EndpointChange::default() }),
        (
            "headers",
            EndpointChange { headers: Some(vec![header("X-New", "********")]), ..EndpointChange::default() },
        ),
        ("events", EndpointChange { events: Some(["x".to_owned()].into()), ..EndpointChange::default() }),
        ("concurrency", EndpointChange { concurrency: Some(1001), ..EndpointChange::default() }),
    ] {
        assert_eq!(field(&sandbox.change_endpoint(made.id, change).await.unwrap_err()), name);
    }
    assert_eq!(sandbox.endpoint(made.id).await.unwrap(), made, "nothing has changed");
}

#[tokio::test]
async fn an_endpoint_is_changed_in_part() {
    let sandbox = start().await;
    let flow = flow(&sandbox).await;
    let before = endpoint(&sandbox, &flow).await;
    assert_eq!(sandbox.endpoint(before.id).await.unwrap(), before);
    let change = EndpointChange {
        url: Some("https://new.example/".into()),
        token_place: Some(TokenPlace::Header),
        headers: Some(vec![header("X-A", "1")]),
        events: Some(["session.completed".to_owned()].into()),
        ..EndpointChange::default()
    };
    let after = sandbox.change_endpoint(before.id, change).await.unwrap();
    assert_eq!((after.url.as_str(), after.token_place), ("https://new.example/", TokenPlace::Header));
    assert_eq!(after.headers, [header("X-A", "********")]);
    assert_eq!(after.events.iter().collect::<Vec<_>>(), ["session.completed"]);
    assert_eq!((after.enabled, after.concurrency, after.created_at), (false, 8, before.created_at));
    assert!(after.updated_at > before.updated_at);
    let missing = sandbox.change_endpoint(Uuid::new_v4(), EndpointChange::default()).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { what: "endpoint", .. }));
}

#[tokio::test]
async fn lists_go_page_by_page_from_the_newest() {
    let sandbox = start().await;
    let (first, second) = (flow(&sandbox).await, flow(&sandbox).await);
    let mut made = Vec::new();
    for number in 0..5 {
        let flow = if number == 3 { &second } else { &first };
        made.push(endpoint(&sandbox, flow).await.id);
    }
    let mut new = NewEndpoint::new(first.id, "live", NOBODY);
    new.enabled = false;
    let live = sandbox.create_endpoint(new).await.unwrap().id;

    let list = async |flow, environment, limit, after| {
        let page = sandbox.endpoints(flow, environment, PageRequest { limit, after }).await.unwrap();
        (page.items.into_iter().map(|endpoint| endpoint.id).collect::<Vec<_>>(), page.next)
    };
    let (ids, next) = list(None, None, 4, None).await;
    assert_eq!(ids, [live, made[4], made[3], made[2]]);
    let (ids, next) = list(None, None, 4, next).await;
    assert_eq!((ids, next), (vec![made[1], made[0]], None));
    assert_eq!(list(None, None, 6, None).await.1, None, "exactly as many as there are");
    assert_eq!(list(Some(second.id), None, 10, None).await.0, [made[3]]);
    assert_eq!(list(None, Some("live"), 10, None).await.0, [live]);
    assert!(list(Some(second.id), Some("live"), 10, None).await.0.is_empty());
    let Page { items, next, .. } = sandbox.flows(PageRequest { limit: 1, after: None }).await.unwrap();
    assert_eq!((items, next.is_some()), (vec![second], true));
    assert_refused(&sandbox).await;
}

async fn assert_refused(sandbox: &Sandbox) {
    let nonsense = PageRequest { limit: 10, after: Some("nonsense".into()) };
    assert_eq!(field(&sandbox.flows(nonsense.clone()).await.unwrap_err()), "after");
    assert_eq!(field(&sandbox.endpoints(None, None, nonsense.clone()).await.unwrap_err()), "after");
    assert_eq!(field(&sandbox.events(None, nonsense.clone()).await.unwrap_err()), "after");
    assert_eq!(
        field(&sandbox.sessions(SessionFilter::default(), nonsense.clone()).await.unwrap_err()),
        "after"
    );
    assert_eq!(field(&sandbox.deliveries(DeliveryFilter::default(), nonsense).await.unwrap_err()), "after");
    let none = PageRequest { limit: 0, after: None };
    assert_eq!(field(&sandbox.flows(none).await.unwrap_err()), "limit");
}
