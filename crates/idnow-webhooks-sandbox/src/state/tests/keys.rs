use idnow_webhooks_core::keys::KeySet;

use super::*;
use crate::database::keys::Retire;
use crate::database::tests::Raw;
use crate::model::KeyState;

#[tokio::test]
async fn a_retired_key_has_no_private_half_and_its_history_still_names_it() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let (kid, pkcs8) = crate::keys::generate().unwrap();
    bench.database().write(Activate { kid: kid.clone(), pkcs8: pkcs8.clone() }).await.unwrap();
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    bench.record(&due, Verdict::Delivered).await;
    let (next, other) = key();
    bench.database().write(Activate { kid: next.clone(), pkcs8: other }).await.unwrap();
    let public = |bench: &Bench| {
        let known = bench.database().now_known();
        let entry = known.keys.iter().find(|entry| entry.public.id == kid).unwrap();
        (entry.public.jwk(), entry.private.is_some(), entry.state)
    };
    let (jwk, ..) = public(&bench);
    bench.database().write(Retire(kid.clone())).await.unwrap();
    assert_eq!(public(&bench), (jwk.clone(), false, KeyState::Retired));
    let flow = bench.close().await;
    // Closed, everything is in the file.
    let bytes = std::fs::read(&path).unwrap();
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(holds(kid.as_bytes()) && holds(&key().1[200..232]), "it is the right file");
    assert!(!pkcs8.chunks_exact(32).skip(12).any(holds), "a part of the private half is left");

    let bench = open(&path, Some(flow)).await;
    assert_eq!(public(&bench), (jwk, false, KeyState::Retired));
    assert_eq!(bench.attempts(1).await[0].key_id, kid);
    assert_eq!(bench.state.active_key().unwrap().id, next);
}

#[tokio::test]
async fn no_more_keys_are_published_than_our_own_receiver_reads() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let activate = || {
        let (kid, pkcs8) = key();
        bench.database().write(Activate { kid, pkcs8 })
    };
    let refused = loop {
        if let Err(refused) = activate().await {
            break refused;
        }
    };
    assert!(
        matches!(&refused, Error::Conflict { reason } if reason.contains("retire old ones")),
        "{refused:?}"
    );
    let known = bench.database().now_known();
    let keys: Vec<_> = known.keys.iter().map(|entry| entry.public.jwk()).collect();
    assert_eq!(keys.len(), 100);
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    bench.database().write(Retire(known.keys[0].public.id.clone())).await.unwrap();
    activate().await.unwrap();
}

#[tokio::test]
async fn only_keys_that_are_published_count() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let more = "WITH RECURSIVE n (n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM n WHERE n < 1098)
                INSERT INTO keys (id, kid, modulus, exponent, pkcs8, state, created_at)
                SELECT n.n, 'kid-' || n.n, x'01', x'03', NULL, 2, 0 FROM n";
    bench.database().write(Raw(more)).await.unwrap();
    let flow = bench.close().await;
    let bench = open(&path, Some(flow)).await;
    assert_eq!(bench.database().now_known().keys.len(), 100);
    let activate = || {
        let (kid, pkcs8) = key();
        bench.database().write(Activate { kid, pkcs8 })
    };
    activate().await.unwrap();
    bench.database().write(Raw("UPDATE keys SET state = 1 WHERE state = 2 AND id < 1098")).await.unwrap();
    let flow = bench.flow;
    bench.close().await;
    let bench = open(&path, Some(flow)).await;
    let (kid, pkcs8) = key();
    let error = bench.database().write(Activate { kid, pkcs8 }).await.unwrap_err();
    assert!(matches!(&error, Error::Conflict { reason } if reason.contains("retire old ones")), "{error:?}");
}
