use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

const CHUNK: usize = 16 * 1024;

/// What comes after the head of an answer.
pub(super) enum Answer {
    /// These bytes, with a `Content-Length`.
    Whole(Option<Bytes>),
    /// These bytes, then this many spaces, in chunks.
    Padded(Bytes, usize),
    /// These bytes, then silence for good.
    Stalled(Option<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Padded(document, _) if !document.is_empty() => Some(std::mem::take(document)),
            Self::Padded(_, 0) => None,
            Self::Padded(_, spaces) => {
                let chunk = CHUNK.min(*spaces);
                *spaces -= chunk;
                Some(Bytes::from_static(&[b' '; CHUNK]).slice(..chunk))
            }
            Self::Stalled(bytes) => match bytes.take() {
                Some(bytes) => Some(bytes),
                // No waker is kept: nothing will ever come.
                None => return Poll::Pending,
            },
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Padded(..) | Self::Stalled(_) => SizeHint::default(),
        }
    }
}
