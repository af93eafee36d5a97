//! How somebody proves who they are, on a connection from the network or inside of a jump.

use std::borrow::Cow;

use russh::keys::{Certificate, PublicKey};
use russh::server::Auth;
use russh::{MethodKind, MethodSet};
use tidegate_common::audit::{Event, LoginMethod, Note};
use tidegate_common::name::{CredentialName, Login, UserName};
use tidegate_common::policy::{EndReason, LoginGone, Proved};

use super::super::{MOST_ATTEMPTS, Standing};
use super::{Entrance, Handler, HandlerError, State};
use crate::admission::Step;
use crate::keys::fingerprint;

impl Handler {
    /// `none`, which the user of a jump may use.
    pub(super) async fn none(&mut self, name: &str) -> Result<Auth, HandlerError> {
        match (&self.entrance, self.vouched(name)) {
            (Entrance::Front, _) => {
                // Who comes from outside may have the code of a link and no key.
                let methods: &[MethodKind] = match self.takes_codes() {
                    true => &[MethodKind::PublicKey, MethodKind::KeyboardInteractive],
                    false => &[MethodKind::PublicKey],
                };
                Ok(Auth::Reject {
                    proceed_with_methods: Some(MethodSet::from(methods)),
                    partial_success: false,
                })
            }
            (Entrance::Jump { .. }, Some((proved, target))) => {
                Box::pin(self.ask_policy(proved, target)).await
            }
            // The first try of `none` is no failure, as of sshd; russh counts those after it.
            (Entrance::Jump { .. }, None) => Ok(Auth::reject()),
        }
    }

    /// A key that the client does not prove to hold yet.
    pub(super) fn offered(&mut self, name: &str, key: &PublicKey) -> Result<Auth, HandlerError> {
        // An offer does not tell whether the key is a certificate's. Where a CA is trusted,
        // every key may sign, and what it signs with decides.
        let any = self.gate.logins.takes_certificates();
        // One that is somebody else's too is refused only once it has signed, so that the log
        // has it: whoever just shows a key has proved nothing. So is one whose user a panic stops.
        let known = self.wanted(name).is_some_and(|(user, _)| {
            let takes = || self.gate.logins.takes_key(&user, key, self.origin);
            any || matches!(
                takes(),
                Ok(_) | Err(EndReason::Login(LoginGone::SharedKey) | EndReason::Panic(_))
            )
        });
        if known { Ok(Auth::Accept) } else { self.rejected() }
    }

    /// A key that the client holds.
    pub(super) async fn key(&mut self, name: &str, key: &PublicKey) -> Result<Auth, HandlerError> {
        let Some((user, target)) = self.wanted(name) else { return self.rejected() };
        let shown = fingerprint(key);
        match self.gate.logins.takes_key(&user, key, self.origin) {
            Ok(proved) => Box::pin(self.proved(proved, target, LoginMethod::PublicKey, shown)).await,
            Err(EndReason::Login(LoginGone::SharedKey)) => {
                let why = format!("the key {shown} is another user's, too; `get users` shows whose");
                self.refused(name, &user, why).await
            }
            Err(stopped @ EndReason::Panic(_)) => self.refused(name, &user, stopped.to_string()).await,
            Err(_) => self.rejected(),
        }
    }

    /// A certificate whose key the client holds.
    pub(super) async fn certificate(
        &mut self,
        name: &str,
        certificate: &Certificate,
    ) -> Result<Auth, HandlerError> {
        let Some((user, target)) = self.wanted(name) else { return self.rejected() };
        match self.gate.logins.takes_certificate(&user, certificate, self.origin) {
            Ok(proved) => {
                let shown = format!("{} serial {}", certificate.key_id(), certificate.serial());
                Box::pin(self.proved(proved, target, LoginMethod::Certificate, shown)).await
            }
            Err(why) => self.refused(name, &user, why.to_string()).await,
        }
    }

    /// The answer to what was asked; none where the client begins.
    pub(super) async fn answer(&mut self, name: &str, typed: Option<String>) -> Result<Auth, HandlerError> {
        // A client that cannot ask for `none` may begin here.
        if let Some((proved, target)) = self.vouched(name)
            && Box::pin(self.ask_policy(proved, target)).await? == Auth::Accept
        {
            return Ok(Auth::Accept);
        }
        if matches!(self.state, State::Unproved | State::Code) && self.takes_codes() {
            return Box::pin(self.code(name, typed)).await;
        }
        let State::Asking(mut conversation) = std::mem::replace(&mut self.state, State::Unproved) else {
            return self.rejected();
        };
        let step = match typed {
            None => Step::Ask(conversation.ask()),
            Some(typed) => Box::pin(conversation.answer(&typed)).await?,
        };
        Ok(match self.settle(step, conversation) {
            None => Auth::Accept,
            Some(ask) => Auth::Partial {
                name: Cow::Borrowed(""),
                instructions: Cow::Owned(ask.instructions()),
                prompts: ask.question.prompt().map(|prompt| (prompt, true)).into_iter().collect(),
            },
        })
    }

    /// Whether the code of a link lets in who comes from there.
    fn takes_codes(&self) -> bool {
        matches!(self.entrance, Entrance::Front) && self.gate.access.is_outside(self.origin)
    }

    /// The code of a link; none where the client begins.
    async fn code(&mut self, name: &str, typed: Option<String>) -> Result<Auth, HandlerError> {
        let ask = |instructions: String| Auth::Partial {
            name: Cow::Borrowed(""),
            instructions: Cow::Owned(instructions),
            prompts: vec![(Cow::Borrowed("Access code: "), false)].into(),
        };
        let Some((user, target)) = self.wanted(name) else { return self.rejected() };
        let Some(typed) = typed else {
            self.state = State::Code;
            return Ok(ask(String::new()));
        };
        self.state = State::Unproved;
        match self.gate.console.remote_accesses.redeem(&user, &typed, self.origin).await {
            Ok(proved) => self.proved(proved, target, LoginMethod::Code, String::new()).await,
            Err(why) => {
                let sentence = why.to_string();
                let event = Event::LoginRefused { user: Note::new(name), why: Note::new(&sentence) };
                self.gate.refusals.tell(self.origin, "log-ins", event.by_user(&user, self.origin)).await?;
                // The last that may be wrong ends the connection, as a key does.
                if self.attempts + 1 >= MOST_ATTEMPTS {
                    return self.rejected();
                }
                self.attempts += 1;
                self.state = State::Code;
                Ok(ask(format!("{sentence}.")))
            }
        }
    }

    /// Whose keys and certificates open the log-in under this name, and what it leads to.
    /// Inside a jump they are those of the user whom the outer connection has proved.
    pub(super) fn wanted(&self, name: &str) -> Option<(UserName, Option<CredentialName>)> {
        match &self.entrance {
            Entrance::Front if self.may_prove() => {
                let login = name.parse::<Login>().ok()?;
                Some((login.user, login.target))
            }
            Entrance::Front => None,
            Entrance::Jump { .. } => self.vouched(name).map(|(proved, target)| (proved.user, Some(target))),
        }
    }

    /// Whom the outer connection of a jump has proved, and the credential under this name.
    pub(super) fn vouched(&self, name: &str) -> Option<(Proved, CredentialName)> {
        match &self.entrance {
            Entrance::Jump { proved, device } if self.may_prove() => {
                let account = name.parse().ok()?;
                Some((proved.clone(), CredentialName { account, device: device.clone() }))
            }
            _ => None,
        }
    }

    /// A key, a certificate or an answer was wrong. As sshd does, the last that may be is tried
    /// like those before it, and the connection leaves once it was wrong too.
    pub(super) fn rejected(&mut self) -> Result<Auth, HandlerError> {
        self.attempts += 1;
        if self.attempts > MOST_ATTEMPTS {
            return Err(HandlerError::Attempts);
        }
        if self.attempts == MOST_ATTEMPTS {
            // sshd's words, which people look for.
            let sentence = "Too many authentication failures".into();
            self.standing.send_replace(Standing::Leaving(Some(sentence)));
        }
        Ok(Auth::reject())
    }

    /// Whether somebody may still prove who they are.
    fn may_prove(&self) -> bool {
        matches!(self.state, State::Unproved | State::Code) && self.attempts < MOST_ATTEMPTS
    }

    /// Who wrote the name `shown` proved nothing; the log has the true reason.
    pub(super) async fn refused(
        &mut self,
        shown: &str,
        user: &UserName,
        why: String,
    ) -> Result<Auth, HandlerError> {
        let event = Event::LoginRefused { user: Note::new(shown), why: Note::new(why) };
        self.gate.refusals.tell(self.origin, "log-ins", event.by_user(user, self.origin)).await?;
        self.rejected()
    }

    /// A user proved who they are: lets them in, or begins to ask. Inside a jump it is the
    /// outer connection's proof that all rests on, and that is in the log.
    pub(super) async fn proved(
        &mut self,
        proved: Proved,
        target: Option<CredentialName>,
        method: LoginMethod,
        key: String,
    ) -> Result<Auth, HandlerError> {
        if let (Entrance::Jump { proved, .. }, Some(target)) = (&self.entrance, &target) {
            let (proved, target) = (proved.clone(), target.clone());
            return self.ask_policy(proved, target).await;
        }
        if let Err(error) = self.gate.logins.enter(&proved, method, &key).await {
            // Nothing opens but a channel, on which it is read.
            self.proved = Some(proved.clone());
            self.standing.send_replace(Standing::Proved);
            self.leave_when_out(proved);
            self.state = State::Refused(error.to_string());
            return Ok(Auth::Accept);
        }
        match target {
            Some(target) => self.ask_policy(proved, target).await,
            None => {
                self.proved = Some(proved.clone());
                self.state = State::Console;
                self.standing.send_replace(Standing::Proved);
                self.leave_when_out(proved);
                Ok(Auth::Accept)
            }
        }
    }
}
