//! Bodies in gzip, from servers and caches that compress what nobody asked them to.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// How gzip begins (RFC 1952, section 2.3.1), and JSON never does.
const MAGIC: &[u8] = &[0x1f, 0x8b];

/// A content encoding that cannot be undone here, as the answer names it. Cut to 100 characters.
///
/// Whether a body is in gzip, it says itself: the header is wrong where a proxy has undone or added the compression
/// and left the header alone.
pub(crate) fn unknown_encoding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let known: [&[u8]; 4] = [b"", b"identity", b"gzip", b"x-gzip"];
    let is_known = |name: &[u8]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    let unknown = names.map(<[u8]>::trim_ascii).find(|name| !is_known(name))?;
    Some(String::from_utf8_lossy(unknown).chars().take(100).collect())
}

pub(crate) fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(MAGIC)
}

/// At most one byte more than `max_bytes`, however much the body would grow to.
pub(crate) fn decompress(body: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    MultiGzDecoder::new(body).take((max_bytes as u64).saturating_add(1)).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn only_gzip_and_nothing_at_all_are_known() {
        for (values, expected) in [
            (&[][..], None),
            (&["gzip"], None),
            (&["GZIP"], None),
            (&["x-gzip"], None),
            (&["identity"], None),
            (&[""], None),
            (&["identity, ,gzip"], None),
            (&["br"], Some("br")),
            (&["gzip, zstd"], Some("zstd")),
            (&["gzip", "deflate"], Some("deflate")),
            (&["gzip;q=1"], Some("gzip;q=1")),
        ] {
            let headers =
                values.iter().map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value))).collect();
            assert_eq!(unknown_encoding(&headers).as_deref(), expected, "{values:?}");
        }
        let long = HeaderValue::from_bytes(&[0xff; 1000]).unwrap();
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, long)]);
        assert_eq!(unknown_encoding(&headers).unwrap(), "\u{fffd}".repeat(100));
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let body = compressed(b"{}");
        assert!(is_gzip(&body) && !is_gzip(b"{}") && !is_gzip(b""));
        assert_eq!(decompress(&body, 2).unwrap(), b"{}");
        // A gzip file may have several members (RFC 1952, section 2.2).
        assert_eq!(decompress(&[body.clone(), body].concat(), 100).unwrap(), b"{}{}");
    }

    #[test]
    fn nothing_grows_beyond_the_limit() {
        let bomb = compressed(&vec![b' '; 64 * 1024 * 1024]);
        assert!(bomb.len() < 100_000);
        let text = decompress(&bomb, 1000).unwrap();
        assert_eq!(text.len(), 1001);
        assert!(text.capacity() < 1024 * 1024, "{}", text.capacity());
        assert_eq!(decompress(&compressed(b"{}"), usize::MAX).unwrap(), b"{}");
    }

    #[test]
    fn what_is_broken_is_an_error() {
        let body = compressed(b"{ \"keys\": [] }");
        for end in 2..body.len() {
            assert!(decompress(&body[..end], 100).is_err(), "{end}");
        }
        let mut wrong = body.clone();
        let last = wrong.len() - 6;
        wrong[last] ^= 1;
        assert!(decompress(&wrong, 100).is_err(), "the checksum must hold");
        assert!(decompress(&[&body, &b"rubbish"[..]].concat(), 100).is_err());
    }
}
