//! What a client asks to be forwarded: whether it may, and who sees to it.

use russh::ChannelId;
use russh::server::Handle;
use tidegate_common::audit::{Entry, Event, Note};
use tidegate_common::id::SessionId;

use super::super::forward::{About, Asked, Context, ListenAddress, Listener, MOST_LISTENERS, X11};
use super::{Handler, HandlerError, State};
use crate::audit_log::AuditError;

impl Handler {
    /// A forward's context, or the sentence of its refusal, which the log has then.
    pub(super) async fn admit_forward(
        &self,
        about: &About,
        client: Handle,
    ) -> Result<Result<Context, String>, HandlerError> {
        let context = match &self.state {
            State::Session(held) => Some(Context {
                gate: self.gate.clone(),
                session: held.id,
                permit: held.permit.clone(),
                origin: self.origin,
                phase: held.phase(),
                client,
                arrivals: self.arrivals.clone(),
            }),
            _ => None,
        };
        let why = match (&context, self.still_in()) {
            (Some(_), Err(why)) => Some(why),
            (Some(context), Ok(())) if context.allows(about.forward).await => None,
            (Some(context), Ok(())) => Some(context.forbidden(about.forward)),
            (None, _) => Some(match &self.state {
                // Whatever was asked for first: no session, no forward.
                State::Refused(sentence) => sentence.clone(),
                _ => "forwards are not permitted here; jump to a device's port 22".to_owned(),
            }),
        };
        match (context, why) {
            (Some(context), None) => Ok(Ok(context)),
            (context, why) => {
                let why = why.unwrap_or_default();
                self.refuse_forward(about, context.map(|context| context.session), &why).await?;
                Ok(Err(why))
            }
        }
    }

    /// Tells the log of a forward that never came to be.
    pub(super) async fn refuse_forward(
        &self,
        about: &About,
        session: Option<SessionId>,
        why: &str,
    ) -> Result<(), AuditError> {
        let (kind, to, why) = (about.kind, Note::new(&about.to), Note::new(why));
        let event = Event::ForwardRefused { session, kind, to, why };
        let entry = match &self.state {
            State::Session(held) => event.by_user(held.permit.user(), self.origin),
            State::Console | State::Unproved | State::Code | State::Asking(_) | State::Refused(_) => {
                match &self.proved {
                    Some(proved) => event.by_user(&proved.user, self.origin),
                    None => Entry::from(event).origin(Some(self.origin)),
                }
            }
        };
        self.gate.audit.append(entry).await.map(drop)
    }

    /// Makes the device listen: where it does, with the port that it chose.
    pub(super) async fn listen(
        &mut self,
        place: ListenAddress,
        client: Handle,
    ) -> Result<Option<ListenAddress>, HandlerError> {
        let about = place.about();
        let Ok(context) = self.admit_forward(&about, client).await? else {
            self.count_refusal();
            return Ok(None);
        };
        self.listeners.retain(Listener::is_live);
        if self.listeners.len() >= MOST_LISTENERS {
            let why = format!("the session has {MOST_LISTENERS} listeners, the most there may be");
            context.refused(&about, &why).await;
            self.count_refusal();
            return Ok(None);
        }
        let Ok(listener) = Box::pin(Listener::start(context, place)).await else {
            self.count_refusal();
            return Ok(None);
        };
        let place = listener.place.clone();
        self.listeners.push(listener);
        Ok(Some(place))
    }

    /// `false` when there is no such listener.
    pub(super) fn cancel_listener(&mut self, place: &ListenAddress) -> bool {
        let found = self.listeners.iter().position(|listener| listener.place == *place);
        match found.map(|at| self.listeners.swap_remove(at)) {
            Some(listener) => {
                listener.cancel();
                true
            }
            None => false,
        }
    }

    /// A channel's program shall have windows, or else the agent.
    pub(super) async fn ask(
        &mut self,
        id: ChannelId,
        x11: Option<X11>,
        client: Handle,
    ) -> Result<bool, HandlerError> {
        let about = Asked::about(x11.as_ref());
        let Ok(context) = self.admit_forward(&about, client).await? else {
            self.count_refusal();
            return Ok(false);
        };
        let plain = x11.as_ref().is_none_or(X11::is_plain);
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| plain && !channel.started) else {
            context.refused(&about, "it was asked for out of turn, or in words that are none").await;
            self.count_refusal();
            return Ok(false);
        };
        let asked =
            channel.asked.get_or_insert_with(|| Box::new(Asked { context, id, agent: false, x11: None }));
        match x11 {
            Some(x11) => asked.x11 = Some(x11),
            None => asked.agent = true,
        }
        Ok(true)
    }
}
