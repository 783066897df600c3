//! One entry of a JWKS, checked for everything that RFC 7517 lets it say about its own use.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Algorithm;
use crate::base64url;

/// Why an entry of a JWKS was left out of the [`KeySet`](super::KeySet).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableKey {
    /// The entry is not a JWK: a member is missing or has the wrong type.
    #[error("not a JWK: {0}")]
    Malformed(String),
    /// `kty` or `crv` names something that no supported algorithm uses.
    #[error("key type or curve is not supported")]
    UnsupportedType,
    /// `use` is present and is not `sig`.
    #[error("`use` is not `sig`")]
    NotForSignatures,
    /// `key_ops` is present and does not hold `verify`.
    #[error("`key_ops` does not hold `verify`")]
    NotForVerification,
    /// `alg` is present and cannot be used with this type of key.
    #[error("`alg` does not fit the key type")]
    AlgorithmMismatch,
    /// An RSA modulus is shorter than 2048 or longer than 8192 bits.
    #[error("RSA modulus of {0} bits: at least 2048 and at most 8192 are required")]
    RsaSize(usize),
    /// The RSA exponent is even, below 3 or longer than 33 bits.
    #[error("RSA exponent is out of range")]
    RsaExponent,
    /// The numbers do not make a key, such as a point that is not on its curve.
    #[error("the key material does not make a valid key")]
    Material,
    /// The entry holds a symmetric or private key; a key set that publishes one is compromised.
    #[error("holds secret key material")]
    Secret,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    public_key_use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    // What only a private or symmetric key has (RFC 7518, sections 6.2.2, 6.3.2 and 6.4).
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl Jwk {
    fn holds_a_secret(&self) -> bool {
        [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth, &self.k]
            .into_iter()
            .any(Option::is_some)
    }
}

/// An entry that can be used: its id and, for each algorithm that it may be used with, the key ready to verify.
pub(super) struct Usable {
    pub(super) key_id: Option<String>,
    /// RFC 7638, SHA-256, base64url.
    pub(super) thumbprint: String,
    /// Whether it has an `alg`, which is the only one of its key then.
    pub(super) bound: bool,
    pub(super) keys: Vec<(Algorithm, ParsedPublicKey)>,
}

/// An entry that cannot be used, with every id that tokens may name it by.
pub(super) struct Unusable {
    pub(super) key_ids: Vec<String>,
    pub(super) reason: UnusableKey,
}

pub(super) fn parse(entry: &RawValue) -> Result<Usable, Unusable> {
    let malformed =
        |reason: String| Unusable { key_ids: key_ids(entry), reason: UnusableKey::Malformed(reason) };
    // Serde would also read the members from an array, by their order.
    if !entry.get().starts_with('{') {
        return Err(malformed("not a JSON object".to_owned()));
    }
    let jwk: Jwk =
        serde_json::from_str(entry.get()).map_err(|error| malformed(format!("{:?}", error.classify())))?;
    match keys(&jwk) {
        Ok(Keys { keys, thumbprint }) => {
            Ok(Usable { key_id: jwk.kid, thumbprint, bound: jwk.alg.is_some(), keys })
        }
        Err(reason) => Err(Unusable { key_ids: jwk.kid.into_iter().collect(), reason }),
    }
}

/// Every text that stands as `kid` in an entry, however wrong the rest of it is.
fn key_ids(entry: &RawValue) -> Vec<String> {
    struct KeyIds(Vec<String>);

    impl<'de> Visitor<'de> for &mut KeyIds {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
            // Raw, since neither a name nor a value has to be a text that can be read.
            while let Some((name, value)) = members.next_entry::<&RawValue, &RawValue>()? {
                if serde_json::from_str::<String>(name.get()).is_ok_and(|name| name == "kid") {
                    self.0.extend(serde_json::from_str::<String>(value.get()));
                }
            }
            Ok(())
        }
    }

    let mut found = KeyIds(Vec::new());
    // What was found before an error counts.
    _ = serde_json::Deserializer::from_str(entry.get()).deserialize_map(&mut found);
    found.0
}

struct Keys {
    keys: Vec<(Algorithm, ParsedPublicKey)>,
    thumbprint: String,
}

fn keys(jwk: &Jwk) -> Result<Keys, UnusableKey> {
    if jwk.holds_a_secret() {
        return Err(UnusableKey::Secret);
    }
    if jwk.public_key_use.as_deref().is_some_and(|usage| usage != "sig") {
        return Err(UnusableKey::NotForSignatures);
    }
    if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|name| name == "verify")) {
        return Err(UnusableKey::NotForVerification);
    }
    let mut keys = match jwk.kty.as_str() {
        "RSA" => rsa_keys(jwk)?,
        "EC" | "OKP" => curve_key(jwk)?,
        _ => return Err(UnusableKey::UnsupportedType),
    };
    if let Some(name) = &jwk.alg {
        keys.keys.retain(|(algorithm, _)| algorithm.name() == name);
    }
    if keys.keys.is_empty() {
        return Err(UnusableKey::AlgorithmMismatch);
    }
    Ok(keys)
}

fn rsa_keys(jwk: &Jwk) -> Result<Keys, UnusableKey> {
    let n = number(jwk.n.as_deref(), "n")?;
    let e = number(jwk.e.as_deref(), "e")?;
    let bits = bit_length(&n);
    if !(2048..=8192).contains(&bits) {
        return Err(UnusableKey::RsaSize(bits));
    }
    // The product of two primes. The crypto library would accept it now and fail at every signature.
    if !is_odd(&n) {
        return Err(UnusableKey::Material);
    }
    // 33 bits is what the crypto library accepts at most; an even exponent, or 1, makes no RSA key at all.
    if !is_odd(&e) || bit_length(&e) < 2 || bit_length(&e) > 33 {
        return Err(UnusableKey::RsaExponent);
    }
    let thumbprint = thumbprint(&format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(&e),
        URL_SAFE_NO_PAD.encode(&n)
    ));
    let components = RsaPublicKeyComponents { n, e };
    let keys: Result<_, _> = Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| algorithm.rsa().map(|parameters| (algorithm, parameters)))
        .map(|(algorithm, parameters)| {
            let key = components.to_parsed_public_key(parameters).map_err(|_| UnusableKey::Material)?;
            Ok((algorithm, key))
        })
        .collect();
    Ok(Keys { keys: keys?, thumbprint })
}

fn curve_key(jwk: &Jwk) -> Result<Keys, UnusableKey> {
    let curve = jwk.crv.as_deref().ok_or_else(|| missing("crv"))?;
    let (algorithm, parameters) = Algorithm::of_curve(curve).ok_or(UnusableKey::UnsupportedType)?;
    let x = coordinate(jwk.x.as_deref(), "x")?;
    let encoded_x = URL_SAFE_NO_PAD.encode(&x);
    let (point, members) = match (jwk.kty.as_str(), algorithm) {
        ("OKP", Algorithm::EdDsa) => (x, format!(r#"{{"crv":"{curve}","kty":"OKP","x":"{encoded_x}"}}"#)),
        ("EC", Algorithm::Es256 | Algorithm::Es384) => {
            let y = coordinate(jwk.y.as_deref(), "y")?;
            // RFC 7518, section 6.2.1.2: each coordinate has the full width of the field.
            let width = if algorithm == Algorithm::Es256 { 32 } else { 48 };
            if x.len() != width || y.len() != width {
                return Err(UnusableKey::Material);
            }
            let encoded_y = URL_SAFE_NO_PAD.encode(&y);
            let members = format!(r#"{{"crv":"{curve}","kty":"EC","x":"{encoded_x}","y":"{encoded_y}"}}"#);
            ([&[4][..], &x, &y].concat(), members)
        }
        _ => return Err(UnusableKey::UnsupportedType),
    };
    let key = ParsedPublicKey::new(parameters, point).map_err(|_| UnusableKey::Material)?;
    Ok(Keys { keys: vec![(algorithm, key)], thumbprint: thumbprint(&members) })
}

/// Of the members that RFC 7638 (section 3.2) and RFC 8037 (section 2) name, in their order.
fn thumbprint(members: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

fn missing(member: &str) -> UnusableKey {
    UnusableKey::Malformed(format!("`{member}` is missing"))
}

fn coordinate(text: Option<&str>, member: &str) -> Result<Vec<u8>, UnusableKey> {
    let text = text.ok_or_else(|| missing(member))?;
    base64url::decode(text.as_bytes()).map_err(|_| UnusableKey::Material)
}

/// A big-endian number. RFC 7518 forbids leading zeros, yet some servers send one: it changes nothing.
fn number(text: Option<&str>, member: &str) -> Result<Vec<u8>, UnusableKey> {
    let bytes = coordinate(text, member)?;
    let significant = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    Ok(bytes.get(significant..).unwrap_or_default().to_vec())
}

fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte & 1 == 1)
}
