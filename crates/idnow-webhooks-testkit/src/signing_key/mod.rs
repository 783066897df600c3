mod public;

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idnow_webhooks_core::keys::Algorithm;
use serde::Serialize;
use uuid::Uuid;

use crate::fail::{OrFail, fail};

/// A private key with its `kid` and its algorithm: signs tokens as the provider does, or as an attacker would.
///
/// Clones share the key, so they are cheap.
///
/// ```
/// use idnow_webhooks_core::keys::Algorithm;
/// use idnow_webhooks_testkit::SigningKey;
///
/// let key = SigningKey::generate(Algorithm::Es256);
/// let token = key.sign(&serde_json::json!({ "iss": "https://issuer.example" }));
///
/// let (message, signature) = token.rsplit_once('.').expect("a compact JWS has three parts");
/// let keys = key.key_set();
/// let mut found = keys.candidates(Algorithm::Es256, key.key_id());
/// # use base64::Engine as _;
/// # let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature)?;
/// assert!(found.any(|key| key.verifies(message.as_bytes(), &signature)));
/// # Ok::<(), base64::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    key_id: Option<String>,
    algorithm: Algorithm,
    material: Arc<Material>,
}

enum Material {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl SigningKey {
    /// Makes a new key with a random `kid`: RSA with 2048 bits for RS* and PS*, the curve of ES256, ES384 and
    /// `EdDSA`, 64 random bytes for HS*.
    ///
    /// An RSA key takes about a tenth of a second, more in a debug build: [`shared`](Self::shared) is quicker.
    pub fn generate(algorithm: Algorithm) -> Self {
        let material = match algorithm {
            Algorithm::Es256 => Material::Ec(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).or_fail("generating a P-256 key"),
            ),
            Algorithm::Es384 => Material::Ec(
                EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).or_fail("generating a P-384 key"),
            ),
            Algorithm::EdDsa => {
                Material::Ed25519(Ed25519KeyPair::generate().or_fail("generating an Ed25519 key"))
            }
            _ if algorithm.is_hmac() => {
                let mut secret = vec![0; 64];
                fill(&mut secret).or_fail("generating a secret");
                Material::Secret(secret)
            }
            _ => return Self::generate_rsa(2048).with_algorithm(algorithm),
        };
        Self::new(algorithm, material)
    }

    /// Makes a new RSA key of 2048, 3072, 4096 or 8192 bits (other sizes panic) for RS256.
    ///
    /// The time grows steeply with the size: seconds for 4096 bits, up to minutes for 8192.
    pub fn generate_rsa(bits: usize) -> Self {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => {
                fail(format_args!("cannot make an RSA key of {bits} bits, only of 2048, 3072, 4096 or 8192"))
            }
        };
        Self::new(
            Algorithm::Rs256,
            Material::Rsa(RsaKeyPair::generate(size).or_fail("generating an RSA key")),
        )
    }

    /// Signs with a shared secret, of any length, and one of HS256, HS384 and HS512 (others panic).
    ///
    /// There is no `kid`, as the receiver has no key set to look it up in. With the PEM or DER text of a public
    /// key as the secret this makes the classic forgery by algorithm confusion.
    pub fn from_secret(algorithm: Algorithm, secret: impl Into<Vec<u8>>) -> Self {
        if !algorithm.is_hmac() {
            fail(format_args!("{algorithm} does not use a shared secret: use HS256, HS384 or HS512"));
        }
        Self::new(algorithm, Material::Secret(secret.into())).without_key_id()
    }

    /// The RS256 key that the whole process shares, made at the first use: what tests take that need some key.
    pub fn shared() -> Self {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(|| Self::generate(Algorithm::Rs256)).clone()
    }

    /// A second shared RS256 key: the stranger's, or the next one of a rotation.
    pub fn shared_other() -> Self {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(|| Self::generate(Algorithm::Rs256)).clone()
    }

    fn new(algorithm: Algorithm, material: Material) -> Self {
        Self { key_id: Some(Uuid::new_v4().to_string()), algorithm, material: Arc::new(material) }
    }

    /// The same key under another `kid`.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// The same key without a `kid`, in tokens and in its JWK.
    #[must_use]
    pub fn without_key_id(mut self) -> Self {
        self.key_id = None;
        self
    }

    /// The same key with another algorithm of its family: RSA keys serve RS* and PS*, secrets HS*. A curve has
    /// one algorithm only. An algorithm that does not fit the key panics.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        let fits = match &*self.material {
            Material::Rsa(_) => rsa_encoding(algorithm).is_some(),
            Material::Secret(_) => algorithm.is_hmac(),
            Material::Ec(_) | Material::Ed25519(_) => algorithm == self.algorithm,
        };
        if !fits {
            fail(format_args!("a key for {} cannot sign with {algorithm}", self.algorithm));
        }
        self.algorithm = algorithm;
        self
    }

    /// The `kid` that tokens and the JWK carry.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The algorithm that tokens are signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs `claims` into a compact JWS with the header `{"alg":..,"kid":..,"typ":"JWT"}`.
    pub fn sign(&self, claims: &impl Serialize) -> String {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            kid: Option<&'a str>,
            typ: &'a str,
        }
        let header = Header { alg: self.algorithm.name(), kid: self.key_id(), typ: "JWT" };
        let header = serde_json::to_vec(&header).or_fail("writing the header");
        self.sign_raw(&header, &serde_json::to_vec(claims).or_fail("writing the claims"))
    }

    /// Signs any bytes as header and as payload, for tokens that no honest sender makes.
    ///
    /// The signature is genuine and made with [`algorithm`](Self::algorithm), whatever the header claims.
    pub fn sign_raw(&self, header: &[u8], payload: &[u8]) -> String {
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.sign_bytes(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// The bare signature of `message`, in the form that JWS uses (for ES*: both numbers at full width).
    pub fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        match &*self.material {
            Material::Rsa(pair) => {
                let Some(encoding) = rsa_encoding(self.algorithm) else { self.mismatch() };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
                    .or_fail("signing with RSA");
                signature
            }
            Material::Ec(pair) => {
                pair.sign(&SystemRandom::new(), message).or_fail("signing with ECDSA").as_ref().to_vec()
            }
            Material::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Material::Secret(secret) => {
                let digest = match self.algorithm {
                    Algorithm::Hs256 => hmac::HMAC_SHA256,
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    Algorithm::Hs512 => hmac::HMAC_SHA512,
                    _ => self.mismatch(),
                };
                hmac::sign(&hmac::Key::new(digest, secret), message).as_ref().to_vec()
            }
        }
    }

    fn mismatch(&self) -> ! {
        fail(format_args!("this key cannot sign with {}", self.algorithm))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("key_id", &self.key_id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_SHA512),
        _ => None,
    }
}

/// Puts a token together from its three parts, each any bytes, and signs nothing.
///
/// With an empty signature this is the token of `alg: none`; with another token's signature, a tampered one.
///
/// ```
/// use idnow_webhooks_testkit::compact;
///
/// assert_eq!(compact(br#"{"alg":"none"}"#, b"{}", b""), "eyJhbGciOiJub25lIn0.e30.");
/// ```
pub fn compact(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>, signature: impl AsRef<[u8]>) -> String {
    [header.as_ref(), payload.as_ref(), signature.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}
