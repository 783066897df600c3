use idnow_webhooks_sandbox::Error;
use idnow_webhooks_sandbox::model::KeyState;

use super::start;

#[tokio::test]
async fn keys_are_rotated_and_retired() {
    let sandbox = start().await;
    let published = async || {
        let jwks = sandbox.jwks().await.unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = sandbox.keys().await.unwrap();
    let [first] = &first[..] else { panic!("{first:?}") };
    assert_eq!(first.state, KeyState::Active);
    let refused = sandbox.retire_key(&first.id).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict { reason } if reason.contains("rotate first")), "{refused:?}");

    let second = sandbox.rotate_keys().await.unwrap();
    assert_eq!(second.state, KeyState::Active);
    assert_eq!(published().await, [first.id.clone(), second.id.clone()]);
    let states: Vec<_> = sandbox.keys().await.unwrap().iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Published, KeyState::Active]);

    let retired = sandbox.retire_key(&first.id).await.unwrap();
    assert_eq!(retired.state, KeyState::Retired);
    assert_eq!(sandbox.retire_key(&first.id).await.unwrap(), retired, "twice is once");
    assert_eq!(published().await, [second.id]);
    assert_eq!(sandbox.keys().await.unwrap().len(), 2, "its attempts still name it");
    assert!(matches!(sandbox.retire_key("nonsense").await, Err(Error::NotFound { what: "key", .. })));
}

#[tokio::test]
async fn only_the_public_half_is_published() {
    let sandbox = start().await;
    let jwks = sandbox.jwks().await.unwrap();
    let mut members: Vec<_> = jwks["keys"][0].as_object().unwrap().keys().cloned().collect();
    members.sort();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
}
