//! Bodies that do not come as they should. Their length is announced as that of any other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// In how many pieces a slow body comes.
const PIECES: u32 = 10;

/// A body in pieces, with a pause before each but the first.
#[derive(Debug)]
pub(super) struct Pieces {
    rest: Bytes,
    piece: usize,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// How many bytes come before it breaks off.
    until: Option<usize>,
    sent: Option<oneshot::Sender<()>>,
}

impl Pieces {
    /// All of it, over this time.
    pub(super) fn slow(body: Bytes, time: Duration) -> Self {
        let pieces = usize::try_from(PIECES).unwrap_or(1);
        Self { piece: body.len().div_ceil(pieces).max(1), pause: time / PIECES, ..Self::whole(body) }
    }

    /// Half of it; after a pause, in which that leaves this machine, it breaks off. It tells when half was handed over.
    pub(super) fn half(body: Bytes, pause: Duration) -> (Self, oneshot::Receiver<()>) {
        let half = body.len() / 2;
        let (pieces, receiver) = Self::telling(body);
        (Self { piece: half.max(1), until: Some(half), pause, ..pieces }, receiver)
    }

    /// All of it at once, and tells when it was handed over.
    pub(super) fn telling(body: Bytes) -> (Self, oneshot::Receiver<()>) {
        let (sent, receiver) = oneshot::channel();
        (Self { sent: Some(sent), ..Self::whole(body) }, receiver)
    }

    fn whole(body: Bytes) -> Self {
        let piece = body.len().max(1);
        Self { rest: body, piece, pause: Duration::ZERO, sleep: None, until: None, sent: None }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(sleep) = &mut self.sleep {
            std::task::ready!(sleep.as_mut().poll(context));
            self.sleep = None;
        }
        if self.until == Some(0) {
            return Poll::Ready(Some(Err(io::Error::other("it breaks off on purpose"))));
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.piece.min(self.rest.len());
        let piece = self.rest.split_to(length);
        self.until = self.until.map(|until| until.saturating_sub(length));
        let is_all = self.rest.is_empty() || self.until == Some(0);
        if is_all && let Some(sent) = self.sent.take() {
            // Who does not wait for it any more needs no word.
            let _ = sent.send(());
        }
        self.sleep = (!self.pause.is_zero()).then(|| Box::pin(tokio::time::sleep(self.pause)));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.until.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}
