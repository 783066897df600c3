use serde_json::{Value, json};

use super::support::Site;

async fn published(site: &Site) -> Vec<Value> {
    let keys = site.get("/oidc/.well-known/jwks.json").await.is(200).json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
}

#[tokio::test]
async fn keys_are_rotated_and_retired() {
    let site = Site::start().await;
    let keys = site.get("/manage/v1/keys").await.is(200).json();
    let first = keys[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(keys[0]["state"], "active");
    let retire = format!("/manage/v1/keys/{first}/retire");
    assert_eq!(site.poke(&retire).await.refusal(), (409, "conflict".to_owned(), None));

    let rotated = site.poke("/manage/v1/keys/rotate").await.is(201);
    assert_eq!(rotated.header("location"), Some("/manage/v1/keys"));
    let second = rotated.json()["id"].clone();
    let keys = site.get("/manage/v1/keys").await.json();
    assert!(keys[0]["createdAt"].as_str() < keys[1]["createdAt"].as_str());
    let states: Vec<_> = keys.as_array().unwrap().iter().map(|key| (&key["id"], &key["state"])).collect();
    assert_eq!(states, [(&json!(first), &json!("published")), (&second, &json!("active"))]);
    let mut both = published(&site).await;
    both.sort_by_key(|kid| *kid == second);
    assert_eq!(both, [json!(first), second.clone()]);

    assert_eq!(site.poke(&retire).await.is(200).json()["state"], "retired");
    assert_eq!(published(&site).await, [second]);
    assert_eq!(
        site.poke("/manage/v1/keys/unknown/retire").await.refusal(),
        (404, "not_found".to_owned(), None)
    );
}

#[tokio::test]
async fn no_private_half_is_ever_told() {
    let site = Site::start().await;
    let keys = site.get("/oidc/.well-known/jwks.json").await.is(200);
    for key in keys.json()["keys"].as_array().unwrap() {
        let mut names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    }
}
