//! A byte stream that its holder can cut at any moment, whatever waits on it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Cuts the stream when dropped.
#[derive(Debug)]
pub struct Hand(#[allow(dead_code, reason = "its drop is what it is for")] oneshot::Sender<()>);

/// The stream on its leash: after the cut, reads are at the end and writes fail.
#[derive(Debug)]
pub struct Leash<S> {
    inner: S,
    cut: oneshot::Receiver<()>,
    is_cut: bool,
}

impl<S> Leash<S> {
    /// Puts a stream on a leash.
    pub fn new(inner: S) -> (Self, Hand) {
        let (hand, cut) = oneshot::channel();
        (Self { inner, cut, is_cut: false }, Hand(hand))
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> bool {
        if !self.is_cut {
            self.is_cut = Pin::new(&mut self.cut).poll(context).is_ready();
        }
        self.is_cut
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Leash<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.poll_cut(context) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Leash<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.poll_cut(context) {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.poll_cut(context) {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_cut_wakes_a_reader_that_waits() {
        let (near, _far) = tokio::io::duplex(64);
        let (mut leash, hand) = Leash::new(near);
        let reader = tokio::spawn(async move { leash.read(&mut [0; 8]).await });
        drop(hand);
        assert_eq!(reader.await.unwrap().unwrap(), 0);
    }
}
