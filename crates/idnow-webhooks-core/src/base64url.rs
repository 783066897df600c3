//! Base64url as RFC 7515 demands it: no padding, no white space, no stray bits in the last character.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const STRICT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    STRICT.decode(text)
}
