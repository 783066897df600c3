//! What a token's header may demand, name or bring along.

use std::io::ErrorKind;
use std::net::TcpListener;

use idnow_webhooks_core::{ClaimsError, TokenError, VerifyError};
use idnow_webhooks_testkit::SigningKey;
use serde_json::{Value, json};

use crate::{claims, header_with, refused, refused_form, signed, unusable, verify};

fn with(changes: &Value) -> String {
    signed(&header_with(changes).to_string(), &claims().to_string())
}

#[test]
fn keys_that_a_token_brings_along_are_neither_used_nor_fetched() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", server.local_addr().unwrap());
    let attacker = SigningKey::shared_other();
    let genuine_id = SigningKey::shared().key_id().map(str::to_owned);
    let certificate =
        attacker.public_key_pem().lines().filter(|line| !line.starts_with('-')).collect::<String>();
    for lure in [
        json!({ "jwk": attacker.jwk() }),
        json!({ "jku": url }),
        json!({ "x5u": url }),
        json!({ "x5c": [certificate] }),
        json!({ "x5t": "AAAA", "x5t#S256": "AAAA" }),
        json!({ "jwk": attacker.jwk(), "jku": url, "x5u": url, "x5c": [certificate], "iss": url }),
    ] {
        for (kid, code) in [
            (json!(genuine_id), "false_signature"),
            (json!(attacker.key_id()), "unknown_key"),
            (json!(url), "unknown_key"),
            (Value::Null, "unknown_key"),
        ] {
            let mut header = header_with(&lure);
            header["kid"] = kid;
            let token = attacker.sign_raw(header.to_string().as_bytes(), claims().to_string().as_bytes());
            assert_eq!(refused(token).code(), code, "{header}");
        }
        // What is not looked at does no harm either.
        assert_eq!(verify(with(&lure)).unwrap().key_id, genuine_id);
    }
    let knocked = server.accept().map(|(_, address)| address);
    assert_eq!(knocked.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn an_extension_that_must_be_understood_is_not() {
    for demand in [
        json!(["exp"]),
        json!(["b64"]),
        json!(["http://example.com/UNDEFINED"]),
        json!([]),
        json!({}),
        json!(""),
        json!("exp"),
        json!(null),
        json!(false),
        json!(0),
        json!([[[]]]),
    ] {
        let error = unusable(with(&json!({ "crit": demand })));
        assert_eq!(error, ClaimsError::Extension("crit"), "{demand}");
    }
    for unencoded in [json!(false), json!(true), json!(null), json!("false")] {
        assert_eq!(
            unusable(with(&json!({ "b64": unencoded }))),
            ClaimsError::Extension("b64"),
            "{unencoded}"
        );
        let both = json!({ "b64": unencoded, "crit": ["b64"] });
        assert_eq!(unusable(with(&both)), ClaimsError::Extension("crit"));
    }
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    let twice = format!(r#"{{"alg":"RS256","kid":"{kid}","crit":[],"crit":[]}}"#);
    assert_eq!(unusable(signed(&twice, &claims().to_string())), ClaimsError::Extension("crit"));
    let escaped = format!(r#"{{"alg":"RS256","kid":"{kid}","\u0063rit":[]}}"#);
    assert_eq!(unusable(signed(&escaped, &claims().to_string())), ClaimsError::Extension("crit"));
}

#[test]
fn other_members_of_the_header_play_no_part() {
    verify(with(&json!({ "typ": "webhook+jwt", "cty": "JWT", "zip": "DEF", "enc": "A128GCM", "epk": {} })))
        .unwrap();
    verify(with(&json!({ "typ": null, "": [{ "a": [1, -2.5, true, null] }] }))).unwrap();
}

#[test]
fn a_kid_is_looked_up_to_the_letter_and_shown_in_one_line() {
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    let long = "k".repeat(256);
    let mut strange = vec![
        "",
        " ",
        "other",
        "../../../../dev/null",
        "/etc/passwd",
        "' OR '1'='1",
        "x'; DROP TABLE keys; --",
        "a\nWARN forged line",
        "a\r\nb",
        "\u{0}",
        "\u{1b}[31mred",
        "\u{202e}evil",
        "\u{2028}",
        "\u{85}",
        "$(id)",
        "${jndi:ldap://localhost/a}",
        "%s%n",
        "ключ",
        "🔑",
        "null",
        "*",
        &long,
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    strange.extend([
        kid.to_uppercase(),
        format!("{kid} "),
        format!(" {kid}"),
        format!("{kid}\0"),
        kid[1..].to_owned(),
    ]);
    for name in strange {
        let error = refused(with(&json!({ "kid": name })));
        let VerifyError::UnknownKey { key_id: Some(seen), known, .. } = &error else {
            panic!("{name:?}: {error:?}")
        };
        let shown = name.chars().take(200).collect::<String>().escape_debug().to_string();
        assert!(seen.to_string().contains(&shown), "{name:?}: {seen}");
        assert_eq!(known.len(), 1);
    }
    let error = refused(with(&json!({ "kid": "k".repeat(10_000) })));
    assert_eq!(error.code(), "unknown_key");
}

/// RFC 7515 wants text. What is none names no key, and so proves nothing.
#[test]
fn a_kid_that_is_no_text_names_no_key() {
    for value in [json!(7), json!(["k"]), json!({ "k": 1 }), json!(true)] {
        verify(with(&json!({ "kid": value }))).unwrap();
        let mut header = header_with(&json!({}));
        header["kid"] = value;
        let other = SigningKey::shared_other();
        let token = other.sign_raw(header.to_string().as_bytes(), claims().to_string().as_bytes());
        assert_eq!(refused(token).code(), "unknown_key");
    }
}

#[test]
fn a_giant_header_is_refused_before_it_is_decoded() {
    let padding = |size: usize| {
        let bare = header_with(&json!({ "pad": "" })).to_string();
        header_with(&json!({ "pad": "p".repeat(size - bare.len()) })).to_string()
    };
    verify(signed(&padding(16 * 1024), &claims().to_string())).unwrap();
    for size in [16 * 1024 + 1, 16 * 1024 + 3, 100_000] {
        let error = refused_form(signed(&padding(size), &claims().to_string()));
        assert_eq!(error, TokenError::HeaderTooLong, "{size}");
    }
    assert_eq!(refused_form(format!("{}.e30.AA", "!".repeat(30_000))), TokenError::HeaderTooLong);
}
