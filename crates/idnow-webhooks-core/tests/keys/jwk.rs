//! One key: what makes it usable.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idnow_webhooks_core::keys::{Algorithm, UnusableKey};
use idnow_webhooks_testkit::SigningKey;
use serde_json::{Value, json};

use crate::{assert_verifies, changed, reason, reason_after, set_of};

const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(jwk: &Value, member: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[member].as_str().unwrap()).unwrap()
}

/// An odd number of exactly `bits` bits: all that the checks of size look at.
fn modulus(bits: usize) -> Vec<u8> {
    let mut number = vec![0xff; bits.div_ceil(8)];
    number[0] = 0xff >> (number.len() * 8 - bits);
    number
}

#[test]
fn an_rsa_key_without_alg_serves_all_rsa_algorithms_and_no_other() {
    let key = SigningKey::shared();
    let set = set_of(&[changed(&key, &json!({ "alg": null }))]);
    for algorithm in RSA_ALGORITHMS {
        assert_verifies(&set, &key.clone().with_algorithm(algorithm));
    }
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !RSA_ALGORITHMS.contains(algorithm)) {
        assert!(set.candidates(algorithm, key.key_id()).next().is_none(), "{algorithm}");
    }
}

#[test]
fn a_key_with_alg_serves_that_algorithm_alone() {
    let key = SigningKey::shared().with_algorithm(Algorithm::Ps384);
    let set = set_of(&[key.jwk()]);
    assert_verifies(&set, &key);
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Ps384) {
        assert!(set.candidates(algorithm, key.key_id()).next().is_none(), "{algorithm}");
    }
}

#[test]
fn a_curve_serves_its_algorithm_with_and_without_alg() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let key = SigningKey::generate(algorithm);
        assert_verifies(&set_of(&[key.jwk()]), &key);
        assert_verifies(&set_of(&[changed(&key, &json!({ "alg": null, "use": null }))]), &key);
    }
}

#[test]
fn the_size_of_an_rsa_key_is_bounded() {
    for bits in [1, 512, 1024, 2047, 8193, 16384] {
        assert_eq!(reason_after(&json!({ "n": encoded(&modulus(bits)) })), UnusableKey::RsaSize(bits));
    }
    for zero in [&[][..], &[0], &[0; 256]] {
        assert_eq!(reason_after(&json!({ "n": encoded(zero) })), UnusableKey::RsaSize(0));
    }
    assert_eq!(
        reason_after(&json!({ "n": encoded(&modulus(1024)) })).to_string(),
        "RSA modulus of 1024 bits: at least 2048 and at most 8192 are required"
    );
}

#[test]
fn leading_zeros_do_not_lengthen_a_short_rsa_key() {
    let padded = [&[0; 128][..], &modulus(1024)].concat();
    assert_eq!(reason_after(&json!({ "n": encoded(&padded) })), UnusableKey::RsaSize(1024));
}

#[test]
fn leading_zeros_in_modulus_or_exponent_change_nothing() {
    let key = SigningKey::shared();
    for zeros in [1, 2, 300] {
        for member in ["n", "e"] {
            let padded = encoded(&[&vec![0; zeros][..], &decoded(&key.jwk(), member)].concat());
            assert_verifies(&set_of(&[changed(&key, &json!({ member: padded }))]), &key);
        }
    }
    let exponents: [&[u8]; 4] = [&[3], &[17], &[1, 0, 1], &[1, 0, 0, 0, 1]];
    for bits in [2048, 2049, 3072, 4095, 4096, 8192] {
        for exponent in exponents {
            let [n, e] = [&modulus(bits), exponent].map(|number| encoded(&[&[0], number].concat()));
            let set = set_of(&[changed(&key, &json!({ "n": n, "e": e }))]);
            assert_eq!(set.len(), 1, "{bits} {exponent:?}: {:?}", set.skipped());
        }
    }
}

#[test]
fn a_large_key_with_a_leading_zero_verifies() {
    for bits in [3072, 4096] {
        let key = SigningKey::generate_rsa(bits);
        let padded = encoded(&[&[0][..], &decoded(&key.jwk(), "n")].concat());
        assert_verifies(&set_of(&[changed(&key, &json!({ "n": padded }))]), &key);
    }
}

/// The examples of RFC 7638 (section 3.1) and RFC 8037 (appendix A.3).
#[test]
fn the_thumbprint_is_that_of_the_standard() {
    let rsa = json!({ "kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB", "n":
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
         tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1\
         n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw" });
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    for (jwk, expected) in [
        (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (ed, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        let set = set_of(&[jwk]);
        assert!(set.keys().all(|key| key.thumbprint() == Some(expected)), "{set:?}");
        assert_eq!(set.len(), 1);
    }
}

#[test]
fn the_thumbprint_tells_keys_apart_and_nothing_else() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let (one, two) = (SigningKey::generate(algorithm), SigningKey::generate(algorithm));
        let mut same = vec![one.jwk(), changed(&one, &json!({ "kid": "another", "alg": null, "x5c": [] }))];
        if algorithm == Algorithm::Rs256 {
            let padded = encoded(&[&[0][..], &decoded(&one.jwk(), "n")].concat());
            same.push(changed(&one, &json!({ "n": padded })));
        }
        let thumbprints = |keys: &[Value]| -> BTreeSet<String> {
            set_of(keys).keys().filter_map(|key| key.thumbprint().map(str::to_owned)).collect()
        };
        assert_eq!(thumbprints(&same).len(), 1, "{algorithm}");
        assert_eq!(thumbprints(&[one.jwk(), two.jwk()]).len(), 2, "{algorithm}");
    }
}

#[test]
fn an_exponent_must_be_odd_and_within_range() {
    let exponents: [&[u8]; 7] =
        [&[], &[0], &[1], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1], &[1, 0, 0, 0, 0, 0, 0, 0, 1]];
    for exponent in exponents {
        assert_eq!(
            reason_after(&json!({ "e": encoded(exponent) })),
            UnusableKey::RsaExponent,
            "{exponent:?}"
        );
    }
}

#[test]
fn a_modulus_that_no_rsa_key_has_is_left_out() {
    let mut even = decoded(&SigningKey::shared().jwk(), "n");
    *even.last_mut().unwrap() &= 0xfe;
    assert_eq!(reason_after(&json!({ "n": encoded(&even) })), UnusableKey::Material);
}

#[test]
fn a_key_for_another_purpose_is_left_out() {
    for usage in ["enc", "", "SIG"] {
        assert_eq!(reason_after(&json!({ "use": usage })), UnusableKey::NotForSignatures);
    }
    for operations in [json!([]), json!(["encrypt", "sign"]), json!(["Verify"])] {
        let reason = reason_after(&json!({ "key_ops": operations }));
        assert_eq!(reason, UnusableKey::NotForVerification, "{operations}");
    }
    let key = SigningKey::shared();
    for good in [json!({ "key_ops": ["sign", "verify"] }), json!({ "use": null, "key_ops": ["verify"] })] {
        assert_verifies(&set_of(&[changed(&key, &good)]), &key);
    }
}

#[test]
fn alg_must_fit_the_key_type() {
    for alg in ["ES256", "HS256", "RSA-OAEP", "none", "rs256", ""] {
        assert_eq!(reason_after(&json!({ "alg": alg })), UnusableKey::AlgorithmMismatch, "{alg}");
    }
    let curve = SigningKey::generate(Algorithm::Es256);
    for alg in ["ES384", "RS256", "EdDSA"] {
        let reason = reason(&changed(&curve, &json!({ "alg": alg })));
        assert_eq!(reason, UnusableKey::AlgorithmMismatch, "{alg}");
    }
}

#[test]
fn a_point_must_be_on_its_curve() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let key = SigningKey::generate(algorithm);
        let mut y = decoded(&key.jwk(), "y");
        y[20] ^= 1;
        assert_eq!(reason(&changed(&key, &json!({ "y": encoded(&y) }))), UnusableKey::Material);
        let zero = encoded(&vec![0; y.len()]);
        assert_eq!(reason(&changed(&key, &json!({ "x": zero, "y": zero }))), UnusableKey::Material);
    }
}

#[test]
fn coordinates_have_the_full_width() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let key = SigningKey::generate(algorithm);
        let x = decoded(&key.jwk(), "x");
        for wrong in [encoded(&x[1..]), encoded(&[&[0][..], &x].concat()), String::new()] {
            let reason = reason(&changed(&key, &json!({ "x": wrong })));
            assert_eq!(reason, UnusableKey::Material, "{algorithm} {wrong}");
        }
    }
}

#[test]
fn base64_of_the_numbers_is_strict() {
    let n = SigningKey::shared().jwk()["n"].as_str().unwrap().to_owned();
    // 256 bytes leave four bits of the last character unused, and they must be zero.
    assert!(n.ends_with(['A', 'Q', 'g', 'w']), "{n}");
    let wrongs = [
        format!("{}B", &n[..n.len() - 1]),
        format!("{n} "),
        format!("{}\n{}", &n[..64], &n[64..]),
        format!("{n}=="),
        format!("+/{}", &n[2..]),
    ];
    for wrong in wrongs {
        assert_eq!(reason_after(&json!({ "n": wrong })), UnusableKey::Material, "{wrong}");
    }
}

#[test]
fn unknown_types_and_curves_are_left_out() {
    for kty in ["AKP", "rsa", ""] {
        assert_eq!(reason_after(&json!({ "kty": kty })), UnusableKey::UnsupportedType, "{kty}");
    }
    let curve = SigningKey::generate(Algorithm::Es256);
    for crv in ["P-521", "secp256k1", "X25519", ""] {
        let reason = reason(&changed(&curve, &json!({ "crv": crv })));
        assert_eq!(reason, UnusableKey::UnsupportedType, "{crv}");
    }
    // Known, each of them, but not together.
    for mixed in [json!({ "kty": "OKP" }), json!({ "crv": "Ed25519", "alg": null })] {
        assert_eq!(reason(&changed(&curve, &mixed)), UnusableKey::UnsupportedType, "{mixed}");
    }
}

#[test]
fn a_published_secret_or_private_key_is_never_used() {
    assert_eq!(reason(&SigningKey::generate(Algorithm::Hs256).jwk()), UnusableKey::Secret);
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let jwk = changed(&SigningKey::generate(algorithm), &json!({ "d": "c2VjcmV0" }));
        assert_eq!(reason(&jwk), UnusableKey::Secret, "{algorithm}");
    }
    // Any private member of RFC 7518, section 6.3.2, gives an RSA key away.
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        assert_eq!(reason_after(&json!({ member: "c2VjcmV0" })), UnusableKey::Secret, "{member}");
    }
    assert_eq!(reason_after(&json!({ "oth": [] })), UnusableKey::Secret);
}
