//! Base64url as RFC 7515 demands it: no padding, no white space, no stray bits in the last character.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

const STRICT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_allow_trailing_bits(false)
    .with_decode_padding_mode(DecodePaddingMode::RequireNone);

/// Base64 is a good part of what a token costs beside its signature, and vector units take little of it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENGINE: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::url_safe(STRICT));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static ENGINE: base64::engine::GeneralPurpose =
    base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, STRICT);

pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    // Not `decode`: it allocates by `calloc`, which in glibc takes the slow path.
    let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(text.len()));
    ENGINE.decode_vec(text, &mut bytes)?;
    Ok(bytes)
}
