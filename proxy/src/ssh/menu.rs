//! The menu of `ssh operator@gate` on a terminal, and the session it leads to on the
//! same channel.
//!
//! What the channel carries before admission is the gate's own: the menu and what
//! admission asks. The device is dialled, and its channel opened, only with the permit.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf};
use tidegate_common::name::CredentialName;
use tidegate_common::policy::Permit;

use super::client_channel::SshChannel;
use super::terminal_console::Console;
use crate::admission::Step;
use crate::audit_log::AuditError;
use crate::console::{Choice, Line, Menu, PROMPT, Typed};
use crate::inbox::Event;
use crate::relay::{self, Client, Control, Start, Terminal};
use crate::service::Actor;

/// How long nothing may be typed before the menu goes away.
const PATIENCE: Duration = Duration::from_secs(600);

/// The user left, or the connection is gone.
struct Left;

/// Shows the menu; carries the session on this channel, or closes it with status 0. Says
/// whether it has told its user why it ended.
pub async fn run(
    console: Console,
    id: ChannelId,
    write: ChannelWriteHalf<Msg>,
    handle: Handle,
    terminal: Terminal,
    start: Start,
) -> bool {
    let mut seat = Seat { console, write, terminal, typed: Bytes::new() };
    let (gate, proved) = (Arc::clone(&seat.console.gate), seat.console.proved.clone());
    let chosen = tokio::select! {
        biased;
        why = gate.access.until_out(&proved) => Err(why),
        chosen = seat.until_admitted() => Ok(chosen),
    };
    let (permit, status) = match chosen {
        Ok(Ok(permit)) => (permit, 0),
        Ok(Err(Left)) => (None, 0),
        Err(why) => {
            let _ = seat.say(&format!("\ntidegate: {why}\n")).await;
            (None, 1)
        }
    };
    let Seat { console: Console { origin, inbox, .. }, write, terminal, .. } = seat;
    let Some(permit) = permit else {
        let _ = write.eof().await;
        let _ = handle.exit_status_request(id, status).await;
        let _ = write.close().await;
        inbox.close();
        return status != 0;
    };
    let held = gate.sessions.start(*permit, origin);
    let start = Start { terminal: Some(terminal), ..start };
    if inbox.push_control(Control::Start(start)).is_ok() {
        let client = Client { channel: SshChannel { id, write, handle }, inbox };
        return relay::serve(client, held.phase()).await;
    }
    false
}

/// A person in front of the menu.
struct Seat {
    console: Console,
    write: ChannelWriteHalf<Msg>,
    terminal: Terminal,
    /// Typed ahead. What is left of it when the session starts is dropped: it was not
    /// meant for the device.
    typed: Bytes,
}

impl Seat {
    /// `None` when there is nothing to choose.
    async fn until_admitted(&mut self) -> Result<Option<Box<Permit>>, Left> {
        let Console { gate, proved, origin, .. } = &self.console;
        let actor = Actor::proved(&gate.access.snapshot(), proved, *origin);
        let size = self.terminal.size;
        let menu = Menu::of(&gate.console, &actor, size.columns, size.rows).await;
        let mut menu = match menu {
            Ok(menu) => menu,
            Err(failure) => {
                self.say(&format!("tidegate: {failure}\n")).await?;
                return Ok(None);
            }
        };
        self.say(&menu.first()).await?;
        if menu.is_empty() {
            return Ok(None);
        }
        loop {
            self.say(&format!("\n{PROMPT}")).await?;
            let line = self.line().await?;
            menu.fit(self.terminal.size.columns, self.terminal.size.rows);
            match menu.choose(&line) {
                Choice::Leave => return Err(Left),
                Choice::Show(text) => self.say(&text).await?,
                Choice::Go(target) => match self.ask_policy(target).await? {
                    Ok(permit) => return Ok(Some(permit)),
                    Err(sentence) => self.say(&format!("tidegate: {sentence}\n")).await?,
                },
            }
        }
    }

    /// The talk that every way in has, on this terminal.
    async fn ask_policy(&mut self, target: CredentialName) -> Result<Result<Box<Permit>, String>, Left> {
        let Console { gate, proved, origin, .. } = &self.console;
        let begun = gate.admission.begin(proved.clone(), target, *origin).await;
        let (mut conversation, first) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut step = Ok::<_, AuditError>(first);
        loop {
            let ask = match step {
                Ok(Step::Admitted(permit)) => return Ok(Ok(permit)),
                Ok(Step::Refused(sentence)) => return Ok(Err(sentence)),
                Ok(Step::Ask(ask)) => ask,
                Err(error) => return Ok(Err(error.to_string())),
            };
            self.say(&format!("{}\n", ask.instructions().trim_end())).await?;
            let typed = match ask.question.prompt() {
                Some(prompt) => {
                    self.say(&prompt).await?;
                    self.line().await?
                }
                None => String::new(),
            };
            step = tokio::select! {
                step = conversation.answer(&typed) => step,
                left = self.left() => return Err(left),
            };
        }
    }

    async fn say(&self, text: &str) -> Result<(), Left> {
        self.write.data_bytes(text.replace('\n', "\r\n")).await.map_err(|_| Left)
    }

    /// What is typed up to Enter.
    async fn line(&mut self) -> Result<String, Left> {
        let mut line = Line::default();
        loop {
            let mut echo = String::new();
            let mut typed = None;
            while typed.is_none() && self.typed.has_remaining() {
                typed = line.key(self.typed.get_u8(), &mut echo);
            }
            if !echo.is_empty() {
                self.write.data_bytes(echo).await.map_err(|_| Left)?;
            }
            match typed {
                Some(Typed::Line(line)) => return Ok(line),
                Some(Typed::Leave) => {
                    let _ = self.say("\n").await;
                    return Err(Left);
                }
                None => self.more().await?,
            }
        }
    }

    /// Waits for more to be typed.
    async fn more(&mut self) -> Result<(), Left> {
        loop {
            match tokio::time::timeout(PATIENCE, self.console.inbox.next()).await {
                Ok(Event::Data(data)) => {
                    self.typed = data;
                    return Ok(());
                }
                Ok(Event::Control(Control::WindowChange(size))) => self.terminal.size = size,
                Ok(Event::Control(_)) => {}
                Ok(Event::Eof | Event::Closed) => return Err(Left),
                Err(_) => {
                    let _ = self.say("\ntidegate: nothing was typed for 10 minutes; connect again\n").await;
                    return Err(Left);
                }
            }
        }
    }

    /// Waits until the user leaves; what else they type while they wait is not taken.
    async fn left(&mut self) -> Left {
        loop {
            match self.console.inbox.next().await {
                Event::Data(data) if data.iter().any(|byte| matches!(byte, 0x03 | 0x04)) => {
                    let _ = self.say("\n").await;
                    return Left;
                }
                Event::Control(Control::WindowChange(size)) => self.terminal.size = size,
                Event::Data(_) | Event::Control(_) => {}
                Event::Eof | Event::Closed => return Left,
            }
        }
    }
}
