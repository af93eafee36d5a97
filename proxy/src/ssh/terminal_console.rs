//! The gate's own command line on a session channel: `ssh operator@gate access list`.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId};
use tidegate_common::policy::Proved;
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use super::{Gate, menu};
use crate::console::{self, Size};
use crate::inbox::{Event, Inbox};
use crate::relay::{self, Control, Program, Start};
use crate::service::Actor;

/// What a command may be sent ahead of its reading, in bytes.
const AHEAD: usize = 64 * 1024;
/// What a terminal sends for Ctrl-C and Ctrl-D.
const INTERRUPT: [u8; 2] = [0x03, 0x04];
/// stderr, as `SSH_MSG_CHANNEL_EXTENDED_DATA` numbers it (RFC 4254, 5.2).
const STDERR: u32 = 1;

/// A command line for a user without a target.
pub struct Console {
    /// What it works on.
    pub gate: Arc<Gate>,
    /// Who types, and what they logged in with.
    pub proved: Proved,
    /// From where.
    pub origin: IpAddr,
    /// What is typed.
    pub inbox: Inbox<Control>,
}

impl Console {
    /// Runs the command that was asked for, and closes the channel. Says whether its user was told why it
    /// ended, or whose log-in is gone was told anything, which is to be seen before the connection leaves.
    pub async fn run(self, channel: Channel<Msg>, handle: Handle, mut start: Start) -> bool {
        let id: ChannelId = channel.id();
        let (_, write) = channel.split();
        if matches!(start.program, Program::Shell)
            && let Some(terminal) = start.terminal.take()
        {
            return Box::pin(menu::run(self, id, write, handle, terminal, start)).await;
        }
        let _running = self.gate.stopping.running().await;
        let on_terminal = start.terminal.is_some();
        let size = start.terminal.as_ref().map_or(Size { columns: 0, rows: 0 }, |terminal| of(terminal.size));
        let (resized, terminal) = watch::channel(size);
        let terminal = on_terminal.then_some(terminal);
        let lines = |stream| Lines { stream: Box::pin(write.make_writer_ext(stream)), carriage: on_terminal };
        let (mut out, mut err) = (lines(None), lines(Some(STDERR)));
        let mut told = false;
        let status = match words(&start.program) {
            Ok(words) => {
                let (stdin, input) = tokio::io::duplex(AHEAD);
                let actor = Actor::proved(&self.gate.access.snapshot(), &self.proved, self.origin);
                let interrupts = on_terminal && !console::takes_keys(&words);
                let run =
                    console::run(&self.gate.console, &actor, terminal, &words, stdin, &mut out, &mut err);
                let ended = tokio::select! {
                    // What is done already is told, also to who takes away their own key.
                    biased;
                    status = run => Ok(status),
                    why = self.gate.access.until_out(&self.proved) => Err(Some(why.to_string())),
                    () = self.gate.stopping.begun() => Err(Some("the gate is stopping".to_owned())),
                    () = typed(&self.inbox, input, interrupts, &resized) => Err(None),
                };
                match ended {
                    Ok(status) => {
                        // A command may be the first to see it, and has cleared its screen.
                        told = self.gate.access.still_in(&self.proved).is_err();
                        status
                    }
                    Err(why) => {
                        told = why.is_some();
                        let gives_back = if on_terminal { console::gives_back(&words) } else { "" };
                        cut_short(&mut out, &mut err, gives_back, why).await;
                        if told { 1 } else { 130 }
                    }
                }
            }
            Err(sentence) => {
                let _ = err.write_all(format!("tidegate: {sentence}\n").as_bytes()).await;
                2
            }
        };
        let _ = out.flush().await;
        let _ = write.eof().await;
        let _ = handle.exit_status_request(id, status.into()).await;
        let _ = write.close().await;
        self.inbox.close();
        told
    }
}

/// Gives back the terminal of a command that was cut off, and only then says why; waits no longer than a
/// farewell for who takes nothing.
async fn cut_short(
    out: &mut (impl AsyncWrite + Unpin),
    err: &mut (impl AsyncWrite + Unpin),
    gives_back: &str,
    why: Option<String>,
) {
    let told = async {
        out.write_all(gives_back.as_bytes()).await?;
        out.flush().await?;
        match why {
            Some(why) => err.write_all(format!("tidegate: {why}\n").as_bytes()).await,
            None => Ok(()),
        }
    };
    // Who is gone sees nothing of it.
    let _ = tokio::time::timeout(relay::FAREWELL, told).await;
}

fn words(program: &Program) -> Result<Vec<String>, String> {
    match program {
        Program::Shell => Ok(Vec::new()),
        Program::Exec(command) => {
            let command = std::str::from_utf8(command).map_err(|_| "the command is not UTF-8".to_owned())?;
            console::words(command).map_err(|error| error.to_string())
        }
        Program::Subsystem(_) => Err("name a device to copy files, for example \
                                      sftp operator:ops@db01@gate"
            .to_owned()),
    }
}

fn of(size: relay::Size) -> Size {
    Size { columns: size.columns, rows: size.rows }
}

/// Passes on what is typed until the client is gone, or a terminal interrupts that does; tells of
/// another size of it.
async fn typed(
    inbox: &Inbox<Control>,
    mut input: DuplexStream,
    interrupts: bool,
    resized: &watch::Sender<Size>,
) {
    loop {
        match inbox.next().await {
            Event::Data(data) if interrupts && data.iter().any(|byte| INTERRUPT.contains(byte)) => return,
            Event::Data(data) => {
                // A command that does not read is not sent more than it can be sent ahead.
                let _ = input.write_all(&data).await;
            }
            Event::Eof => {
                let _ = input.shutdown().await;
            }
            Event::Control(Control::WindowChange(size)) => drop(resized.send_replace(of(size))),
            Event::Control(_) => {}
            Event::Closed => return,
        }
    }
}

/// A stream that ends its lines as a terminal in raw mode needs it, where there is one.
struct Lines {
    stream: Pin<Box<dyn AsyncWrite + Send>>,
    carriage: bool,
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if !self.carriage {
            return self.stream.as_mut().poll_write(context, bytes);
        }
        // A line at a time: its text as it is, its end as one write of two bytes.
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(0) => {
                let written = std::task::ready!(self.stream.as_mut().poll_write(context, b"\r\n"))?;
                // Channels take two bytes whole or wait for their window.
                Poll::Ready(if written == 2 { Ok(1) } else { Err(std::io::ErrorKind::WriteZero.into()) })
            }
            end => {
                let text = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
                self.stream.as_mut().poll_write(context, text)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gives_back(line: &str) -> &'static str {
        console::gives_back(&console::words(line).unwrap())
    }

    #[tokio::test]
    async fn who_loses_their_log_in_has_a_password_cleared_and_is_told_why() {
        let clears = gives_back("credential show-password ops@db01");
        assert!(clears.starts_with("\u{1b}[2J") && clears.ends_with("\u{1b}[?1049l"), "{clears:?}");
        let (mut out, mut err) = (Vec::<u8>::new(), Vec::<u8>::new());
        cut_short(&mut out, &mut err, clears, Some("your key is gone".to_owned())).await;
        assert_eq!(out, clears.as_bytes());
        assert_eq!(String::from_utf8(err).unwrap(), "tidegate: your key is gone\n");
    }

    #[tokio::test]
    async fn who_leaves_has_a_password_cleared_and_is_told_nothing() {
        let clears = gives_back("credential show-password ops@db01");
        let (mut out, mut err) = (Vec::<u8>::new(), Vec::<u8>::new());
        cut_short(&mut out, &mut err, clears, None).await;
        assert_eq!((out.as_slice(), err.len()), (clears.as_bytes(), 0));
    }

    #[test]
    fn a_screen_that_shows_no_password_is_not_cleared() {
        for line in ["credential show-password ops@db01 --yes", "get users"] {
            assert_eq!(gives_back(line), "", "{line}");
        }
        let watch = gives_back("session watch 01mcc5rm000000000000000007");
        assert!(watch.ends_with("\u{1b}[?1049l") && !watch.contains("[2J"), "{watch:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_said_before_the_screen_is_cleared_and_who_takes_nothing_is_not_waited_for() {
        let (mut out, _takes_nothing) = tokio::io::duplex(4);
        let mut err = Vec::<u8>::new();
        let begun = tokio::time::Instant::now();
        let clears = gives_back("credential show-password ops@db01");
        cut_short(&mut out, &mut err, clears, Some("your key is gone".to_owned())).await;
        assert_eq!((begun.elapsed().as_secs(), err.len()), (relay::FAREWELL.as_secs(), 0));
    }
}
