//! Signatures that are too long, too short, empty, of another form or of another message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_testkit::SigningKey;

use crate::{NOW, asymmetric, at, claims, genuine, key_for, policy, refused_by};

fn with_signature(token: &str, signature: &[u8]) -> String {
    let (message, _) = token.rsplit_once('.').unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signature_of(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap()
}

#[test]
fn only_the_signature_itself_holds() {
    for algorithm in Algorithm::ALL {
        let key = key_for(algorithm);
        let verifier = policy().algorithms([algorithm]).build().unwrap();
        let keys = key.key_set();
        let token = key.sign(&claims());
        let good = signature_of(&token);
        let size = good.len();
        verifier.verify(with_signature(&token, &good).as_bytes(), &keys, at(NOW)).unwrap();

        let other_message = key.sign_bytes(b"another message");
        let stranger = if algorithm.name().starts_with(['R', 'P']) {
            SigningKey::shared_other().with_algorithm(algorithm)
        } else {
            SigningKey::generate(algorithm)
        };
        let mut flipped = good.clone();
        flipped[size / 2] ^= 1;
        let mut forged = vec![
            Vec::new(),
            vec![0],
            vec![0; size],
            vec![0xff; size],
            vec![0; size - 1],
            vec![0; size + 1],
            [&good[..], &[0]].concat(),
            [&[0], &good[..]].concat(),
            good[..size - 1].to_vec(),
            good[1..].to_vec(),
            [&good[..], &good[..]].concat(),
            good.iter().rev().copied().collect(),
            flipped,
            other_message,
            stranger.sign_bytes(token.rsplit_once('.').unwrap().0.as_bytes()),
        ];
        let mut one = vec![0; size];
        one[size - 1] = 1;
        forged.push(one);
        for signature in forged {
            let changed = with_signature(&token, &signature);
            let error = refused_by(&verifier, changed, &keys, at(NOW));
            // Secrets have no ids, so a token of another one is not proven false.
            let code = if algorithm.is_hmac() { "unknown_key" } else { "false_signature" };
            assert_eq!(error.code(), code, "{algorithm} {} bytes", signature.len());
        }
        for size in [1050, 2000, 20_000] {
            refused_by(&verifier, with_signature(&token, &vec![0; size]), &keys, at(NOW));
        }
    }
}

/// An integer of DER: a zero in front where the first bit would make it negative.
fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap();
    let mut number = bytes[start..].to_vec();
    if number[0] & 0x80 != 0 {
        number.insert(0, 0);
    }
    [&[2, u8::try_from(number.len()).unwrap()], &number[..]].concat()
}

/// RFC 7518, section 3.4: both numbers side by side at full width, never ASN.1, never zero.
#[test]
fn ecdsa_signatures_have_the_form_of_jws() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let key = SigningKey::generate(algorithm);
        let verifier = policy().algorithms([algorithm]).build().unwrap();
        let keys = key.key_set();
        let token = key.sign(&claims());
        let good = signature_of(&token);
        let (r, s) = good.split_at(good.len() / 2);
        let body = [der_integer(r), der_integer(s)].concat();
        let der = [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        let zero = vec![0; r.len()];
        let full = vec![0xff; r.len()];
        for signature in [
            der,
            [&zero[..], s].concat(),
            [r, &zero[..]].concat(),
            [&zero[..], &zero[..]].concat(),
            [&full[..], s].concat(),
            [r, &full[..]].concat(),
            [s, r].concat(),
            r.to_vec(),
        ] {
            let error = refused_by(&verifier, with_signature(&token, &signature), &keys, at(NOW));
            assert_eq!(error.code(), "false_signature", "{algorithm} {signature:?}");
        }
    }
}

/// The order of Ed25519's group, added to the second half of a signature, gives the same number to a reader
/// who does not check that it is reduced (RFC 8032, section 5.1.7).
#[test]
fn an_ed25519_signature_has_no_twin() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = SigningKey::generate(Algorithm::EdDsa);
    let verifier = policy().algorithms([Algorithm::EdDsa]).build().unwrap();
    let token = key.sign(&claims());
    let mut twin = signature_of(&token);
    let mut carry = 0;
    for (byte, add) in twin[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let error = refused_by(&verifier, with_signature(&token, &twin), &key.key_set(), at(NOW));
    assert_eq!(error.code(), "false_signature");
}

#[test]
fn parts_of_two_tokens_make_no_third() {
    let verifier = policy().algorithms(asymmetric()).build().unwrap();
    let (one, keys) = (genuine(), SigningKey::shared().key_set());
    let mut other_claims = claims();
    other_claims["sub"] = "somebody-else".into();
    let other = SigningKey::shared().sign(&other_claims);
    let (a, b): (Vec<_>, Vec<_>) = (one.split('.').collect(), other.split('.').collect());
    for mixed in [[a[0], b[1], a[2]], [a[0], a[1], b[2]], [b[0], b[1], a[2]]] {
        assert_eq!(refused_by(&verifier, mixed.join("."), &keys, at(NOW)).code(), "false_signature");
    }
    refused_by(&verifier, [a[1], a[0], a[2]].join("."), &keys, at(NOW));
    refused_by(&verifier, [a[2], a[1], a[0]].join("."), &keys, at(NOW));
}
