//! How a device's connection is read: a little ahead, so that a key's echo costs one call
//! to the system, and by the gathering while a terminal floods.
//!
//! sshd sends what a terminal shows in pieces of at most 4 KiB. When each of them wakes
//! us, we wake the client for each, and those two have no time left to be
//! fast. While much comes, the kernel is asked to wake us for [`GATHERING`] bytes only
//! (SO_RCVLOWAT, socket(7)), and a timer fetches what is less when no more follows. A person can't tell that millisecond; a
//! program that answers to what it reads could, so connections without a terminal are
//! read as their data come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What is read at once of a connection, in bytes: russh reads a packet's length before
/// the packet, and a key's packet shall cost one call to the system. Larger reads pass by.
pub const READ_AHEAD: usize = 2048;
/// What wakes us while a terminal floods, in bytes.
const GATHERING: usize = 16 * 1024;
/// The most read at once then, in bytes.
const MOST: usize = 64 * 1024;
/// How long what is less waits for more; tokio's timers may take a millisecond longer.
const PATIENCE: Duration = Duration::from_millis(1);
/// So many bytes in so much time are a flood.
const FLOOD: usize = 32 * 1024;
const FLOOD_TIME: Duration = Duration::from_millis(8);

sockopt_impl!(LowWater, SetOnly, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize);

/// Whether a connection carries a terminal, whose floods are gathered.
#[derive(Debug, Clone, Default)]
pub struct TerminalFlag(Arc<AtomicBool>);

impl TerminalFlag {
    pub fn set(&self, terminal: bool) {
        self.0.store(terminal, Ordering::Relaxed);
    }
}

/// A connection to a device.
#[derive(Debug)]
pub struct Gathered {
    stream: TcpStream,
    terminal: TerminalFlag,
    /// What was read ahead: that between `start` and `end` is not taken yet.
    ahead: Box<[u8]>,
    start: usize,
    end: usize,
    /// What came since, to know a flood by.
    since: Instant,
    bytes: usize,
    flood: Option<Flood>,
}

/// While a terminal floods.
#[derive(Debug)]
struct Flood {
    patience: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Gathered {
    pub fn new(stream: TcpStream, terminal: TerminalFlag) -> Self {
        let ahead = vec![0; READ_AHEAD].into();
        Self { stream, terminal, ahead, start: 0, end: 0, since: Instant::now(), bytes: 0, flood: None }
    }

    /// More of it has come.
    fn count(&mut self, more: usize) {
        if let Some(flood) = &mut self.flood {
            flood.waiting = false;
        }
        self.bytes += more;
        if self.bytes < FLOOD {
            return;
        }
        let floods = self.since.elapsed() <= FLOOD_TIME && self.terminal.0.load(Ordering::Relaxed);
        (self.bytes, self.since) = (0, Instant::now());
        if floods && self.flood.is_none() && setsockopt(&self.stream, LowWater, &GATHERING).is_ok() {
            let patience = Box::pin(sleep(PATIENCE));
            self.flood = Some(Flood { patience, waiting: false });
        }
    }

    /// Nothing has come. Where a flood has ebbed away, it is over, and what there is comes.
    fn wait(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(flood) = &mut self.flood else { return Ok(()) };
        if !flood.waiting {
            flood.waiting = true;
            flood.patience.as_mut().reset(Instant::now() + PATIENCE);
        }
        if flood.patience.as_mut().poll(context).is_ready() {
            self.flood = None;
            self.ahead = vec![0; READ_AHEAD].into();
            // The kernel looks at once whether that is enough now.
            setsockopt(&self.stream, LowWater, &1)?;
        }
        Ok(())
    }

    /// Reads ahead; nothing is ahead.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.flood.is_some() && self.ahead.len() < MOST {
            self.ahead = vec![0; MOST].into();
        }
        let mut read = ReadBuf::new(&mut self.ahead);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        (self.start, self.end) = (0, read.filled().len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gathered {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            let large = buffer.remaining() >= this.ahead.len();
            let before = buffer.filled().len();
            let read = if large {
                Pin::new(&mut this.stream).poll_read(context, buffer)
            } else {
                this.poll_ahead(context)
            };
            if read.is_pending() {
                this.wait(context)?;
                return Poll::Pending;
            }
            ready!(read)?;
            this.count(if large { buffer.filled().len() - before } else { this.end });
            if large {
                return Poll::Ready(Ok(()));
            }
        }
        let there = this.ahead.get(this.start..this.end).unwrap_or_default();
        let taken = there.get(..buffer.remaining()).unwrap_or(there);
        buffer.put_slice(taken);
        this.start += taken.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const PIECE: usize = 4096;

    /// Our side of a connection, and the device's.
    async fn connection(terminal: bool) -> (Gathered, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let carries = TerminalFlag::default();
        carries.set(terminal);
        (Gathered::new(stream, carries), listener.accept().await.unwrap().0)
    }

    /// Writes pieces until a flood is seen, or enough of them for one.
    async fn flood(near: &mut Gathered, far: &mut TcpStream) {
        let mut got = vec![0; PIECE];
        for number in 0..64 * FLOOD / PIECE {
            let piece = vec![u8::try_from(number % 251).unwrap(); PIECE];
            far.write_all(&piece).await.unwrap();
            // As russh reads: a packet's length, then the packet.
            let (length, packet) = got.split_at_mut(16);
            near.read_exact(length).await.unwrap();
            near.read_exact(packet).await.unwrap();
            assert_eq!(got, piece);
            if near.flood.is_some() {
                return;
            }
        }
    }

    #[tokio::test]
    async fn a_terminals_flood_is_read_by_the_gathering_and_its_end_soon_after() {
        let (mut near, mut far) = connection(true).await;
        flood(&mut near, &mut far).await;
        assert!(near.flood.is_some());
        // The first may still come with the flood's own waking; then patience ends, long
        // before a gathering is complete.
        for _ in 0..8 {
            far.write_all(b"a prompt").await.unwrap();
            let mut got = [0; 8];
            timeout(Duration::from_secs(20), near.read_exact(&mut got)).await.unwrap().unwrap();
            assert_eq!(&got, b"a prompt");
        }
        assert_eq!((near.flood.is_none(), near.ahead.len()), (true, READ_AHEAD));
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_seen_in_a_flood_too() {
        let (mut near, mut far) = connection(true).await;
        flood(&mut near, &mut far).await;
        far.write_all(b"last words").await.unwrap();
        drop(far);
        let mut rest = Vec::new();
        timeout(Duration::from_secs(20), near.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(rest, b"last words");
    }

    #[tokio::test]
    async fn what_is_no_terminal_is_never_gathered() {
        let (mut near, mut far) = connection(false).await;
        flood(&mut near, &mut far).await;
        assert!(near.flood.is_none());
    }
}
