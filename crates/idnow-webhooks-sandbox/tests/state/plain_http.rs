use idnow_webhooks_sandbox::model::{Answer, EndpointChange, EventKind, NewEndpoint, NewFlow};
use idnow_webhooks_sandbox::{Error, Sandbox, Trigger};

const ELSEWHERE: &str = "http://10.255.255.1:9/webhooks";

/// As to receivers in other containers.
#[tokio::test]
async fn to_other_machines_it_must_be_allowed() {
    for allowed in [false, true] {
        let sandbox = Sandbox::builder().allow_plain_http(allowed).start().await.unwrap();
        let flow = NewFlow { name: "identification".into(), session_ttl_seconds: 3600 };
        let flow = sandbox.create_flow(flow).await.unwrap().id;
        let refused = |result: Result<(), Error>| match result {
            Ok(()) => false,
            Err(Error::Invalid { field: "url", reason }) => {
                assert!(reason.contains("plain `http://` is for this machine alone"), "{reason}");
                true
            }
            Err(other) => panic!("{other}"),
        };
        let made = sandbox.create_endpoint(NewEndpoint::new(flow, "staging", ELSEWHERE)).await;
        assert_eq!(refused(made.map(drop)), !allowed);

        let endpoint = NewEndpoint::new(flow, "staging", "https://receiver.example/");
        let endpoint = sandbox.create_endpoint(endpoint).await.unwrap().id;
        let change = EndpointChange { url: Some(ELSEWHERE.into()), ..EndpointChange::default() };
        assert_eq!(refused(sandbox.change_endpoint(endpoint, change).await.map(drop)), !allowed);

        let triggered = sandbox.trigger(Trigger::new(EventKind::Completed, ELSEWHERE)).await;
        let answer = triggered.as_ref().ok().map(|triggered| triggered.answer.clone());
        assert_eq!(refused(triggered.map(drop)), !allowed);
        // It is no leave to reach private networks.
        if let Some(answer) = answer {
            assert!(
                matches!(&answer, Answer::NotSent { reason } if reason.contains("private")),
                "{answer:?}"
            );
        }
        sandbox.stop().await;
    }
}
