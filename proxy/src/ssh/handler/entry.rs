//! What a connection's callbacks lead to: letting a user in, opening a session or the
//! console for them, starting what a channel asks for.

use std::sync::Arc;

use russh::server::{Auth, Session};
use russh::{ChannelId, MethodKind, MethodSet};
use tidegate_common::audit::EndCause;
use tidegate_common::name::CredentialName;
use tidegate_common::policy::Proved;
use tokio::sync::watch;

use super::super::{LEAVE_DEADLINE, Standing, terminal_console};
use super::{Handler, HandlerError, LONGEST_ENV, LONGEST_ENV_NAME, State};
use crate::admission::{Ask, Conversation, Step};
use crate::relay::{self, Control, Forwarded, Program, Start};
use crate::session::{End, Phase};

impl Handler {
    /// Whether what the connection rests on still holds; asked whenever something new opens.
    ///
    /// # Errors
    /// The sentence for the user.
    pub(super) fn still_in(&self) -> Result<(), String> {
        match &self.proved {
            Some(proved) => self.gate.access.still_in(proved).map_err(|why| why.to_string()),
            None => Err("nobody has logged in here".to_owned()),
        }
    }

    /// Asks policy for a session to `target`.
    pub(super) async fn ask_policy(
        &mut self,
        proved: Proved,
        target: CredentialName,
    ) -> Result<Auth, HandlerError> {
        self.proved = Some(proved.clone());
        self.standing.send_replace(Standing::Proved);
        self.leave_when_out(proved.clone());
        let (conversation, step) = self.gate.admission.begin(proved, target, self.origin).await?;
        Ok(match self.settle(step, Box::new(conversation)) {
            // What is to be asked is asked by keyboard-interactive.
            Some(_) => Auth::Reject {
                proceed_with_methods: Some(MethodSet::from(&[MethodKind::KeyboardInteractive][..])),
                partial_success: true,
            },
            None => Auth::Accept,
        })
    }

    /// Takes a step of the conversation: `Some` when there is something to show.
    pub(super) fn settle(&mut self, step: Step, conversation: Box<Conversation>) -> Option<Ask> {
        match step {
            Step::Admitted(permit) => {
                let held = self.gate.sessions.start(*permit, self.origin);
                // From here on the session watches, and the connection leaves after it.
                self.stay();
                self.leave_when_over(held.phase());
                self.state = State::Session(held);
                None
            }
            Step::Refused(sentence) => {
                self.state = State::Refused(sentence);
                None
            }
            Step::Ask(ask) => {
                self.state = State::Asking(conversation);
                Some(ask)
            }
        }
    }

    /// The connection leaves once its session is over.
    pub(super) fn leave_when_over(&self, mut phase: watch::Receiver<Phase>) {
        let (standing, relays) = (self.standing.clone(), Arc::clone(&self.relays));
        let mut told = self.told.subscribe();
        tokio::spawn(async move {
            let message = match phase.wait_for(|phase| matches!(phase, Phase::Over(_))).await.as_deref() {
                Ok(Phase::Over(message)) => message.clone(),
                _ => return,
            };
            drop(phase);
            // A session may be over before its first channel is opened; that channel is
            // where its user looks.
            if message.is_some() {
                let _ = tokio::time::timeout(relay::FAREWELL, told.wait_for(|told| *told)).await;
            }
            let _ = tokio::time::timeout(relay::FAREWELL * 2, relays.write()).await;
            let untold = message.filter(|_| !*told.borrow());
            standing.send_replace(Standing::Leaving(untold));
        });
    }

    /// The connection leaves once what it rests on is gone; what runs on it says so first.
    pub(super) fn leave_when_out(&mut self, proved: Proved) {
        let (access, standing) = (self.gate.access.clone(), self.standing.clone());
        let (relays, told) = (Arc::clone(&self.relays), self.told.subscribe());
        let leaving = tokio::spawn(async move {
            let why = access.until_out(&proved).await;
            let _ = tokio::time::timeout(relay::FAREWELL * 2, relays.write()).await;
            let told = *told.borrow();
            if told {
                // What a channel says last is shown before the connection is told to leave.
                tokio::time::sleep(LEAVE_DEADLINE).await;
            }
            standing.send_replace(Standing::Leaving(Some(why.to_string().into())));
        });
        self.leaving = Some(leaving.abort_handle());
    }

    /// No longer watches what the connection rests on.
    pub(super) fn stay(&mut self) {
        if let Some(leaving) = self.leaving.take() {
            leaving.abort();
        }
    }

    /// A control for a channel that has started.
    pub(super) fn control(&self, id: ChannelId, control: Control) {
        if let Some(channel) = self.channels.get(&id)
            && let Err(breach) = channel.inbox.push_control(control)
        {
            self.cut(&breach);
        }
    }

    /// Ends the connection of a client that goes beyond what a client may, with the
    /// reason for its user, and its session.
    pub(super) fn cut(&self, why: &dyn std::fmt::Display) {
        let sentence = format!("your ssh client {why}, so its connection is closed");
        if let State::Session(held) = &self.state {
            let end = End { cause: EndCause::Protocol, message: Some(sentence.clone()) };
            if let Some(live) = self.gate.sessions.live.get(held.id) {
                live.end(end);
            }
        }
        self.standing.send_replace(Standing::Leaving(Some(sentence.into())));
    }

    /// The client was refused something once more.
    pub(super) fn count_refusal(&mut self) {
        if !self.refusals.take() {
            self.cut(&"asks again and again for what it is refused");
        }
    }

    pub(super) fn start(
        &mut self,
        id: ChannelId,
        program: Program,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.started) else {
            return Ok(session.channel_failure(id)?);
        };
        channel.started = true;
        let start = Start {
            terminal: channel.terminal.take(),
            env: std::mem::take(&mut channel.env),
            forwarded: channel.asked.take().map(|asked| asked as Box<dyn Forwarded>),
            program,
        };
        let own = channel.console.take();
        let inbox = channel.inbox.clone();
        match (&self.state, &self.proved, own) {
            (State::Console, Some(proved), Some(own)) => {
                let Ok(relaying) = Arc::clone(&self.relays).try_read_owned() else {
                    return Ok(session.channel_failure(id)?);
                };
                session.channel_success(id)?;
                let console = terminal_console::Console {
                    gate: Arc::clone(&self.gate),
                    proved: proved.clone(),
                    origin: self.origin,
                    inbox,
                };
                let (told, handle) = (self.told.clone(), session.handle());
                tokio::spawn(async move {
                    if console.run(own, handle, start).await {
                        told.send_replace(true);
                    }
                    drop(relaying);
                });
            }
            _ => {
                if let Err(breach) = inbox.push_control(Control::Start(start)) {
                    self.cut(&breach);
                }
            }
        }
        Ok(())
    }

    pub(super) fn allows_env(&self, name: &str, value: &str) -> bool {
        let fits = |allowed: &String| match allowed.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == allowed,
        };
        name.len() <= LONGEST_ENV_NAME
            && value.len() <= LONGEST_ENV
            && self.gate.settings.accept_env.iter().any(fits)
    }
}
