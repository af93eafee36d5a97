//! An inbox as a byte stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf as _;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Inbox, Item};

/// Reads an inbox as a byte stream, for the SSH connection inside a `direct-tcpip`
/// channel. Controls do not happen on such a channel and are passed over.
#[derive(Debug)]
pub struct Reader<C>(pub Inbox<C>);

impl<C> AsyncRead for Reader<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut guard = self.0.state();
        let state = &mut *guard;
        loop {
            match state.items.front_mut() {
                Some(Item::Data(data)) => {
                    let length = data.len().min(buffer.remaining());
                    buffer.put_slice(data.get(..length).unwrap_or_default());
                    data.advance(length);
                    if data.is_empty() {
                        state.items.pop_front();
                    }
                    state.take(length, &self.0.drained);
                    return Poll::Ready(Ok(()));
                }
                Some(Item::Eof) => return Poll::Ready(Ok(())),
                Some(Item::Control(_)) => {
                    state.items.pop_front();
                    state.controls -= 1;
                }
                None if state.closed => return Poll::Ready(Ok(())),
                None => {
                    state.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}
