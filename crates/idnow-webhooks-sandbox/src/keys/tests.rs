use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

use super::*;

#[test]
fn a_token_is_verified_by_the_published_key_and_a_changed_one_is_not() {
    let (id, pkcs8) = generate().unwrap();
    let key = SigningKey::from_pkcs8(3, id.clone(), &pkcs8).unwrap();
    let claims = r#"{"sub":"a","n":"ä"}"#;
    let token = key.sign(claims.as_bytes()).unwrap();
    let mut parts = token.split('.');
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let (header, payload, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    assert_eq!(parts.next(), None);
    assert_eq!(serde_json::from_slice::<Value>(&decode(header)).unwrap(), key.header());
    assert_eq!(decode(payload), claims.as_bytes());

    let jwk = key.public().jwk();
    assert_eq!(
        (jwk["kid"].as_str(), jwk["alg"].as_str(), jwk["use"].as_str()),
        (Some(&*id), Some("RS256"), Some("sig"))
    );
    let part = |name: &str| decode(jwk[name].as_str().unwrap());
    assert_eq!(part("n").len(), 256);
    let public = RsaPublicKeyComponents { n: part("n"), e: part("e") };
    let verify =
        |message: &str| public.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &decode(signature));
    assert!(verify(&format!("{header}.{payload}")).is_ok());
    assert!(verify(&format!("{header}.{payload}A")).is_err());
}

#[test]
fn a_key_that_is_none_is_refused_and_never_shown() {
    let error = SigningKey::from_pkcs8(1, "kid".into(), b"hush").unwrap_err().to_string();
    assert!(error.contains("kid") && !error.contains("hush"), "{error}");
    let (id, pkcs8) = generate().unwrap();
    let key = SigningKey::from_pkcs8(1, id.clone(), &pkcs8).unwrap();
    assert_eq!(format!("{key:?}"), format!("SigningKey {{ row: 1, id: {id:?}, .. }}"));
    let jwk = key.public().jwk().to_string();
    for private in ["\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"dq\"", "\"qi\""] {
        assert!(!jwk.contains(private), "{jwk}");
    }
}
