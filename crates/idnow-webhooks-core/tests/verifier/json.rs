//! Documents that two readers could understand differently, or that exhaust one.

use idnow_webhooks_core::{ClaimsError, TokenError, VerifyError};
use idnow_webhooks_testkit::SigningKey;
use serde_json::json;

use crate::{claims, header_with, refused, signed, unusable, verify};

#[track_caller]
fn assert_unreadable(token: &str, expected: &'static str) {
    let segment = match refused(token) {
        VerifyError::Malformed(TokenError::Header(_)) => "header",
        VerifyError::Claims(ClaimsError::Unreadable(_)) => "claims",
        other => panic!("{other:?}"),
    };
    assert_eq!(segment, expected);
}

fn header() -> String {
    header_with(&json!({})).to_string()
}

/// The genuine claims with one more text behind the last member.
fn claims_and(more: &str) -> String {
    let text = claims().to_string();
    format!("{},{more}}}", text.strip_suffix('}').unwrap())
}

/// Some readers take the first of two members, others the last: no order may be believed where it matters.
#[test]
fn repeated_members_that_are_read_are_refused() {
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    for twice in [
        format!(r#"{{"alg":"RS256","alg":"RS256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"none","alg":"RS256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","\u0061lg":"RS256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"{kid}","\u006b\u0069\u0064":"{kid}"}}"#),
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
    ] {
        assert_unreadable(&signed(&header(), &claims_and(more)), "claims");
    }
    // The token is genuine, so its event is kept, and nobody believes either of the two members.
    for (member, again) in [
        ("\"eventId\":", "\"eventId\":\"x\",\"eventId\":"),
        ("\"payload\":", "\"paylo\\u0061d\":{},\"payload\":"),
    ] {
        let text = claims().to_string();
        assert!(text.contains(member));
        let verified = verify(signed(&header(), &text.replace(member, again))).unwrap();
        let reason = verified.event().unwrap_err().reason().to_owned();
        assert!(reason.contains("duplicate field"), "{reason}");
    }
    let text = claims().to_string().replace("\"flowId\":", "\"flo\\u0077Id\":1,\"flowId\":");
    verify(signed(&header(), &text)).unwrap().event().unwrap().session().unwrap_err();
    // Names that only look alike are two members.
    verify(signed(&header(), &claims_and(r#""Exp":1,"EXP":2,"exp ":3,"ехр":4"#))).unwrap();
}

/// What nobody reads is only skipped, whatever it holds: it is no reason to lose an event.
#[test]
fn members_that_nobody_reads_may_hold_anything() {
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    let deep = |depth: usize| format!("{}1{}", r#"[{"a":"#.repeat(depth), "}]".repeat(depth));
    let nested = deep(5_000);
    for value in [
        r#"{"y":1,"\u0079":2}"#,
        r#"{"a":[[{"b":1,"b":1}]]}"#,
        r#""\ud800""#,
        r#"{"\ud800":1}"#,
        "1e999",
        "-1e99999999999999999999",
        &"9".repeat(400),
        &nested,
    ] {
        let header_with_it = format!(r#"{{"alg":"RS256","kid":"{kid}","x":{value},"x":{value}}}"#);
        if header_with_it.len() < 16 * 1024 {
            verify(signed(&header_with_it, &claims().to_string())).unwrap();
        }
        let more = format!(r#""extra":{value},"extra":{value}"#);
        verify(signed(&header(), &claims_and(&more))).unwrap().event().unwrap();
        let inside = claims().to_string().replace("\"payload\":", &format!("{more},\"payload\":"));
        verify(signed(&header(), &inside)).unwrap().event().unwrap();
        let inside = claims().to_string().replace("\"flowId\":", &format!("{more},\"flowId\":"));
        verify(signed(&header(), &inside)).unwrap().event().unwrap().session().unwrap();
    }
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
        "{\"a\":1e}",
    ] {
        assert_unreadable(&signed(text, &claims().to_string()), "header");
        assert_unreadable(&signed(&header(), text), "claims");
    }
    let spaced = format!(" \t\r\n{} \n", claims());
    verify(signed(&header(), &spaced)).unwrap();
}

#[test]
fn deep_nesting_does_no_harm() {
    for depth in [200, 10_000, 30_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            verify(signed(&header(), &claims_and(&format!("\"extra\":{deep}")))).unwrap();
            refused(signed(&header(), &deep));
            assert_unreadable(&signed(&header(), &open.repeat(depth)), "claims");
            for name in ["iss", "aud", "exp"] {
                let claims = claims().to_string().replacen(
                    &format!("\"{name}\":"),
                    &format!("\"{name}\":{deep},\"x\":"),
                    1,
                );
                assert_eq!(unusable(signed(&header(), &claims)), ClaimsError::Mistyped(name));
            }
            let data = claims().to_string().replacen("\"data\":", &format!("\"data\":{deep},\"x\":"), 1);
            verify(signed(&header(), &data)).unwrap().event().unwrap_err();
        }
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
    assert_eq!(
        (error.code(), error.to_string()),
        ("unusable_claims", "claim `iss` has the wrong type or range".into())
    );
    let error = unusable(signed(&header(), r#"{"iss":"s3cret","iss":"s3cret"}"#));
    assert_eq!(error.to_string(), "the claims cannot be read: duplicate field `iss` (line 1, column 31)");
}
