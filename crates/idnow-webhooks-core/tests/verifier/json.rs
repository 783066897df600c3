//! Documents that two readers could understand differently, or that exhaust one.

use idnow_webhooks_core::{TokenError, VerifyError};
use idnow_webhooks_testkit::SigningKey;
use serde_json::{Value, json};

use crate::{claims, header_with, refused, refused_form, signed, verify};

fn assert_unreadable(token: &str, expected: &'static str) {
    match refused_form(token) {
        TokenError::Json { segment, .. } => assert_eq!(segment, expected),
        other => panic!("{other:?}"),
    }
}

fn header() -> String {
    header_with(&json!({})).to_string()
}

/// The genuine claims with one more text behind the last member.
fn claims_and(more: &str) -> String {
    let text = claims().to_string();
    format!("{},{more}}}", text.strip_suffix('}').unwrap())
}

/// Some readers take the first of two members, others the last: no order may be believed.
#[test]
fn repeated_members_are_refused_at_every_depth() {
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    for twice in [
        format!(r#"{{"alg":"RS256","alg":"RS256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"none","alg":"RS256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","\u0061lg":"RS256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"{kid}","\u006b\u0069\u0064":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"{kid}","x":{{"y":1,"\u0079":2}}}}"#),
        format!(r#"{{"alg":"RS256","kid":"{kid}","":1,"":1}}"#),
    ] {
        assert_unreadable(&signed(&twice, &claims().to_string()), "header");
    }
    for more in [
        r#""iss":"https://auth.dev1.platform.idnow.dev/oidc""#,
        r#""aud":"https://bank.example/webhooks/idnow""#,
        r#""exp":9999999999"#,
        r#""\u0065xp":9999999999"#,
        r#""data":{}"#,
        r#""d\u0061t\u0061":{}"#,
        r#""extra":1,"extra":1"#,
        r#""extra":{"a":[[{"b":1,"b":1}]]}"#,
        r#""\ud83d\udd11":1,"🔑":2"#,
        r#""a\/b":1,"a/b":2"#,
    ] {
        assert_unreadable(&signed(&header(), &claims_and(more)), "claims");
    }
    for (member, again) in [
        ("\"eventId\":", "\"eventId\":\"x\",\"eventId\":"),
        ("\"flowId\":", "\"flo\\u0077Id\":1,\"flowId\":"),
    ] {
        let text = claims().to_string();
        assert!(text.contains(member));
        assert_unreadable(&signed(&header(), &text.replace(member, again)), "claims");
    }
    let many: Vec<_> = (0..500).chain([250]).map(|number| format!("\"m{number}\":0")).collect();
    assert_unreadable(&signed(&header(), &claims_and(&many.join(","))), "claims");
    verify(signed(&header(), &claims_and(&many[..500].join(",")))).unwrap();
    // Names that only look alike are two members.
    verify(signed(&header(), &claims_and(r#""Exp":1,"EXP":2,"exp ":3,"ехр":4"#))).unwrap();
}

/// Serde reads the members of a struct from an array, by their order: a third way to spell a token.
#[test]
fn arrays_are_no_objects() {
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    for header in
        [json!(["RS256", kid]), json!(["RS256", kid, false, false]), json!([]), json!([{ "alg": "RS256" }])]
    {
        assert_unreadable(&signed(&header.to_string(), &claims().to_string()), "header");
    }
    let c = claims();
    let positional = json!([c["iss"], c["aud"], c["iat"], c["exp"], null, c["sub"], c["data"]]);
    assert_unreadable(&signed(&header(), &positional.to_string()), "claims");
    assert_unreadable(&signed(&header(), &json!([c]).to_string()), "claims");
}

#[test]
fn whatever_is_not_one_object_is_refused() {
    for text in [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"text\"",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{'alg':'RS256'}",
        "{\"alg\":\"RS256\",}",
        "{alg:1}",
        "\u{feff}{}",
        "// {}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":0x10}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x41\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"\\ud800\":1}",
        "{\"a\":1e}",
    ] {
        assert_unreadable(&signed(text, &claims().to_string()), "header");
        assert_unreadable(&signed(&header(), text), "claims");
    }
    let spaced = format!(" \t\r\n{} \n", claims());
    verify(signed(&header(), &spaced)).unwrap();
}

#[test]
fn deep_nesting_is_refused_without_harm() {
    for depth in [200, 10_000, 30_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert_unreadable(&signed(&header(), &claims_and(&format!("\"extra\":{deep}"))), "claims");
            assert_unreadable(&signed(&header(), &deep), "claims");
            assert_unreadable(&signed(&header(), &open.repeat(depth)), "claims");
        }
    }
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert_unreadable(&signed(&format!(r#"{{"alg":"RS256","x":{deep}}}"#), &claims().to_string()), "header");
    let shallow = format!("{}{}", "[".repeat(100), "]".repeat(100));
    verify(signed(&header(), &claims_and(&format!("\"extra\":{shallow}")))).unwrap();
}

#[test]
fn numbers_beyond_all_bounds_are_refused_wherever_they_stand() {
    for number in ["1e999", "-1e999", "1e99999999999999999999", &"9".repeat(400)] {
        assert_unreadable(&signed(&header(), &claims_and(&format!("\"extra\":{number}"))), "claims");
    }
    for number in
        ["1e308", "5e-324", "1e-999", "-0.0", "18446744073709551616", &format!("0.{}", "1".repeat(1000))]
    {
        verify(signed(&header(), &claims_and(&format!("\"extra\":{number}")))).unwrap();
    }
}

/// What `serde_json` uses inside for numbers and raw text is plain data to us.
#[test]
fn private_names_of_the_json_reader_mean_nothing() {
    for name in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
        for claim in ["iss", "exp", "iat", "aud"] {
            let disguised = json!({ name: claims()[claim].to_string() });
            let mut claims = claims();
            claims[claim] = disguised;
            refused(signed(&header(), &claims.to_string()));
        }
        let mut claims = claims();
        claims["data"] = json!({ name: claims["data"].to_string() });
        let verified = verify(signed(&header(), &claims.to_string())).unwrap();
        assert!(verified.event().is_err());
    }
}

#[test]
fn errors_say_where_and_never_what() {
    let claims = json!({ "iss": ["s3cret-issuer-value"], "aud": "s3cret", "data": "s3cret" });
    let error = refused(signed(&header(), &claims.to_string()));
    assert_eq!(error.check(), "form");
    let VerifyError::Malformed(_) = &error else { panic!("{error:?}") };
    let text = error.to_string();
    assert!(text.contains("claims") && text.contains("column") && !text.contains("s3cret"), "{text}");
    let _: Value = claims;
}
