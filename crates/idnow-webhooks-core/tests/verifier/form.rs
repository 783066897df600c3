//! The compact form: segments, base64url and characters that do not belong.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use idnow_webhooks_core::{ClaimsError, TokenError};
use idnow_webhooks_testkit::{SigningKey, compact};

use crate::{claims, genuine, header_with, refused, refused_form, unusable, verify};

fn segments(token: &str) -> [String; 3] {
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

#[test]
fn a_token_has_exactly_three_segments() {
    let [header, claims, signature] = segments(&genuine());
    for token in [
        String::new(),
        ".".into(),
        header.clone(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}{signature}"),
        format!("{header}.{claims}.{signature}."),
        format!(".{header}.{claims}.{signature}"),
        format!("{header}.{claims}.{signature}.{signature}"),
        format!("{header}..{claims}.{signature}"),
        format!("{header}.{claims}.{signature}.{header}.{claims}"),
        format!("{header} {claims} {signature}"),
        ".".repeat(64 * 1024),
        "a".repeat(64 * 1024),
        format!(r#"{{"protected":"{header}","payload":"{claims}","signature":"{signature}"}}"#),
        format!(
            r#"{{"payload":"{claims}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
        ),
    ] {
        assert_eq!(refused_form(&token), TokenError::Segments, "{token:.60}");
    }
    for token in
        ["..".to_owned(), format!(".{claims}.{signature}"), format!("..{signature}"), format!(".{claims}.")]
    {
        assert!(matches!(refused_form(&token), TokenError::Header(_)), "{token:.60}");
    }
    assert_eq!(refused(format!("{header}..{signature}")).code(), "false_signature");
    // A detached or missing signature: three segments, and nothing that could hold.
    assert_eq!(refused(format!("{header}.{claims}.")).code(), "false_signature");
}

#[test]
fn one_byte_is_no_token() {
    for byte in 0..=u8::MAX {
        refused_form([byte]);
        refused_form([b'.', byte, b'.']);
        refused_form([byte, b'.', byte, b'.', byte]);
    }
}

#[test]
fn nothing_may_stand_around_or_between() {
    let token = genuine();
    for extra in [
        " ", "\n", "\r\n", "\t", "\0", "\u{feff}", "=", "==", "%", "é", "\u{200b}", "\"", ",", ";", "A=",
        "+", "/",
    ] {
        for changed in [
            format!("{token}{extra}"),
            format!("{extra}{token}"),
            token.replacen('.', &format!(".{extra}"), 1),
            token.replacen('.', &format!("{extra}."), 1),
            token.replace('.', &format!(".{extra}")),
            token.replace('.', &format!("{extra}.{extra}")),
        ] {
            let code = refused(&changed).code();
            assert!(matches!(code, "malformed_token" | "false_signature"), "{extra:?}: {code}");
        }
    }
    for prefix in ["Bearer ", "JWT ", "data:application/jwt,"] {
        refused_form(format!("{prefix}{token}"));
    }
    refused_form(format!("{token}\n{token}"));
    refused_form(format!("{token},{token}"));
}

/// RFC 7515, section 2: the URL-safe alphabet, all trailing `=` omitted, nothing else.
#[test]
fn other_kinds_of_base64_are_refused() {
    let token = genuine();
    let parts = segments(&token);
    let decoded = parts.clone().map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut tried = 0;
    for at in 0..3 {
        for encode in [STANDARD.encode(&decoded[at]), URL_SAFE.encode(&decoded[at])] {
            let mut changed = parts.clone();
            changed[at] = encode;
            if changed == parts {
                continue;
            }
            tried += 1;
            assert!(matches!(refused(changed.join(".")).code(), "malformed_token" | "false_signature"));
        }
        let mut broken = parts.clone();
        broken[at].insert(76, '\n');
        assert!(matches!(refused(broken.join(".")).code(), "malformed_token" | "false_signature"));
        let mut short = parts.clone();
        // One character over a multiple of four carries six bits, which is less than a byte.
        while short[at].len() % 4 != 1 {
            short[at].push('A');
        }
        assert!(matches!(refused(short.join(".")).code(), "malformed_token" | "false_signature"));
    }
    assert!(tried >= 2, "the signature alone ends with padding, twice");
}

/// The last character of a segment may carry bits that decode to nothing: each of its siblings is the same
/// signature to a lenient reader.
#[test]
fn stray_bits_in_the_last_character_are_refused() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let token = genuine();
    let (front, last) = token.split_at(token.len() - 1);
    assert!(!token.rsplit('.').next().unwrap().len().is_multiple_of(4), "no bits to spare");
    let value = ALPHABET.iter().position(|byte| *byte == last.as_bytes()[0]).unwrap();
    let group = value & !0b1111;
    let mut siblings = 0;
    for sibling in (group..group + 16).filter(|sibling| *sibling != value) {
        let changed = format!("{front}{}", char::from(ALPHABET[sibling]));
        assert_eq!(refused_form(&changed), TokenError::Base64("signature"), "{sibling}");
        siblings += 1;
    }
    assert_eq!(siblings, 15);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let token = genuine();
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric() && !b"-_.".contains(byte)) {
        let mut bytes = token.clone().into_bytes();
        bytes[10] = byte;
        assert_eq!(refused_form(&bytes), TokenError::Base64("header"), "{byte}");
    }
    for invalid in [&b"\xff\xfe"[..], b"{\"alg\":\"RS256\xff\"}", b"\xed\xa0\x80"] {
        let error = refused_form(compact(invalid, claims().to_string(), "x"));
        assert!(matches!(error, TokenError::Header(_)), "{error:?}");
        let header = header_with(&serde_json::json!({})).to_string();
        let error = unusable(SigningKey::shared().sign_raw(header.as_bytes(), invalid));
        assert_eq!(error, ClaimsError::Unreadable("not UTF-8".into()));
    }
}

#[test]
fn size_alone_breaks_nothing() {
    let header = segments(&genuine())[0].clone();
    for size in [2000, 64 * 1024, 1024 * 1024] {
        let filler = "A".repeat(size);
        refused_form(format!("{filler}.{filler}.{filler}"));
        for token in [format!("{header}.{filler}.AA"), format!("{header}.e30.{filler}")] {
            assert_eq!(refused(token).code(), "false_signature", "{size}");
        }
    }
    let mut large = claims();
    large["data"]["note"] = "n".repeat(60_000).into();
    verify(crate::signed_claims(&large)).unwrap();
}
