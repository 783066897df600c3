//! The one place where a body is read: bounded in size, and by the deadline of the caller.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    Incomplete,
}

/// Reads a body of at most `limit` bytes.
///
/// It asks nothing of the stream but its pieces: neither `Send`, nor a length. A declared length over the
/// limit is refused before anything is read; a declared length is never believed beyond that.
pub(crate) async fn read<S, D, E>(headers: &HeaderMap, body: S, limit: usize) -> Result<Bytes, BodyError>
where
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLarge);
    }
    let mut body = std::pin::pin!(body);
    let mut whole = Bytes::new();
    let mut pieces = BytesMut::new();
    while let Some(piece) = body.next().await {
        // A stream of empty pieces that is always ready would keep even the deadline's timer from running.
        tokio::task::consume_budget().await;
        let mut piece = piece.map_err(|_| BodyError::Incomplete)?;
        let length = whole.len() + pieces.len();
        if piece.remaining() > limit.saturating_sub(length) {
            return Err(BodyError::TooLarge);
        }
        // A webhook nearly always arrives in one piece: `copy_to_bytes` of `Bytes` only counts a reference.
        if length == 0 {
            whole = piece.copy_to_bytes(piece.remaining());
        } else {
            pieces.extend_from_slice(&std::mem::take(&mut whole));
            pieces.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
    }
    Ok(if pieces.is_empty() { whole } else { pieces.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    type Pieces = Vec<Result<Bytes, &'static str>>;

    async fn read_pieces(pieces: Pieces, limit: usize) -> Result<Bytes, BodyError> {
        read(&HeaderMap::new(), stream::iter(pieces), limit).await
    }

    fn pieces(texts: &[&'static str]) -> Pieces {
        texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect()
    }

    #[tokio::test]
    async fn pieces_are_joined_up_to_the_limit_exactly() {
        assert_eq!(read_pieces(pieces(&[]), 0).await.unwrap(), "");
        assert_eq!(read_pieces(pieces(&["abc"]), 3).await.unwrap(), "abc");
        assert_eq!(read_pieces(pieces(&["", "a", "", "bc", "d"]), 4).await.unwrap(), "abcd");
        assert_eq!(read_pieces(pieces(&["a", "bc", "d"]), 3).await, Err(BodyError::TooLarge));
        assert_eq!(read_pieces(pieces(&["abcd"]), 3).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_broken_stream_is_incomplete() {
        let mut broken = pieces(&["abc"]);
        broken.push(Err("connection reset"));
        assert_eq!(read_pieces(broken, 100).await, Err(BodyError::Incomplete));
    }

    #[tokio::test]
    async fn a_declared_length_over_the_limit_is_refused_unread() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 11.into());
        let never = stream::pending::<Result<Bytes, ()>>();
        assert_eq!(read(&headers, never, 10).await, Err(BodyError::TooLarge));
    }
}
