//! From a proven user and a target to a permit or a sentence: a conversation of typed
//! questions and answers. Keyboard-interactive, the menu and whatever comes next show the
//! same questions and hand back what was typed; nobody else asks policy for a session.
//!
//! - A permit is handed out only where policy says yes with what was answered.
//! - A refusal is in the audit log before anybody reads it.
//! - What waits already is joined, with what was said for it, and not asked anew.
//! - Whoever is out (disabled, without the key that they came with) stops to wait.

mod answers;
mod question;
#[cfg(test)]
mod tests;

pub use question::{Ask, OpenChange, Question};

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tidegate_common::audit::{Event, Note};
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Limits, Request, RequestState, Wish};
use tidegate_common::name::CredentialName;
use tidegate_common::policy::{ApprovalNeed, ChangeNeed, Decision, Held, Needs, Permit, Proved};

use crate::access::Access;
use crate::audit_log::{AuditError, AuditLog};
use crate::requests::{NewRequest, RequestError, Requests};
use crate::ssh_name::SshName;

/// The first and the longest pause between two lines that say that all still wait.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many empty answers in a row are a client's without a terminal.
const MOST_EMPTY: u8 = 3;
/// So many governance codes are tried in one conversation.
const MOST_CODES: u8 = 3;

/// What admission rests on. Clones share it.
#[derive(Clone)]
pub struct Admission {
    access: Access,
    requests: Requests,
    audit: AuditLog,
    ssh_name: SshName,
}

/// Where a conversation stands.
#[derive(Debug)]
pub enum Step {
    /// Policy said yes.
    Admitted(Box<Permit>),
    /// It said no; the sentence is for the user.
    Refused(String),
    /// There is something to answer, or to wait for.
    Ask(Ask),
}

/// One user who wants a session with one credential.
pub struct Conversation {
    admission: Admission,
    proved: Proved,
    target: CredentialName,
    origin: IpAddr,
    claims: Claims,
    /// For how long, once that was asked.
    wish: Option<Wish>,
    /// Whether a person has answered something: a client that cannot be asked never has.
    answered: bool,
    emergency_asked: bool,
    /// Answers in a row that said nothing.
    empty: u8,
    /// Governance codes that were refused.
    refused_codes: u8,
    /// Why what was approved does not open this now.
    held: Option<String>,
    /// The options that a request for it takes.
    options: String,
    ask: Ask,
    since: Instant,
    pause: Duration,
}

impl Admission {
    /// Asks policy, makes requests, tells the log; `ssh_name` is for what to type.
    #[must_use]
    pub fn new(access: Access, requests: Requests, audit: AuditLog, ssh_name: SshName) -> Self {
        Self { access, requests, audit, ssh_name }
    }

    /// A conversation about a session with `target`, and its first step.
    ///
    /// # Errors
    /// When a refusal could not be logged.
    pub async fn begin(
        &self,
        proved: Proved,
        target: CredentialName,
        origin: IpAddr,
    ) -> Result<(Conversation, Step), AuditError> {
        let mut conversation = Conversation {
            admission: self.clone(),
            proved,
            ask: Ask::of(Question::Justification { target: target.clone() }),
            target,
            origin,
            claims: Claims::default(),
            wish: None,
            answered: false,
            emergency_asked: false,
            empty: 0,
            refused_codes: 0,
            held: None,
            options: String::new(),
            since: Instant::now(),
            pause: FIRST_PAUSE,
        };
        let step = conversation.decide().await?;
        Ok((conversation, step))
    }
}

impl Conversation {
    /// What was asked last.
    #[must_use]
    pub fn ask(&self) -> Ask {
        self.ask.clone()
    }

    /// Takes what was typed for what was asked last; where that is a wait, waits until the
    /// request changes or there is more to say about it.
    ///
    /// # Errors
    /// When a refusal could not be logged.
    pub async fn answer(&mut self, typed: &str) -> Result<Step, AuditError> {
        if let Question::Waiting { request, .. } = self.ask.question {
            return self.wait(request).await;
        }
        let typed = typed.trim();
        if let Err(wrong) = self.take(typed) {
            self.empty = if typed.is_empty() { self.empty.saturating_add(1) } else { 0 };
            // A client without a terminal answers with nothing, for ever.
            if self.empty >= MOST_EMPTY {
                return Ok(Step::Refused(self.without_terminal()));
            }
            let wrong =
                if typed.is_empty() { "This can't be left empty; Ctrl-C leaves.".to_owned() } else { wrong };
            self.ask.wrong = Some(wrong);
            return Ok(Step::Ask(self.ask()));
        }
        self.empty = 0;
        // A word that says no is as good as nothing.
        let no = matches!(self.ask.question, Question::Emergency) && self.claims.emergency.is_none();
        self.answered |= !typed.is_empty() && !no;
        self.decide().await
    }

    /// Asks policy with what is known so far.
    async fn decide(&mut self) -> Result<Step, AuditError> {
        let Admission { access, requests, audit, .. } = &self.admission;
        let (user, target, action) = (&self.proved.user, &self.target, Action::Session);
        let checked = access.checked(self.claims.governance.as_ref()).await;
        let decided =
            access.decide_checked(&self.proved, target, action, self.origin, &self.claims, &checked);
        match decided.await {
            Ok(Decision::Permitted(permit)) => {
                let what = format!("a session on {target}");
                if let Some(event) = requests.unchecked(&checked, &permit, &what).await {
                    audit.append(event.by_user(user, self.origin)).await?;
                }
                Ok(Step::Admitted(Box::new(permit)))
            }
            Ok(Decision::Refused(refusal)) => {
                let event = Event::SessionRefused {
                    session: crate::session::new_id(),
                    user: user.clone(),
                    target: self.target.clone(),
                    why: Note::new(refusal.why().to_string()),
                };
                audit.append(event.by_user(user, self.origin)).await?;
                Ok(Step::Refused(refusal.to_string()))
            }
            Ok(Decision::Needs(needs)) => self.ask_for(needs).await,
            Err(error) => Ok(Step::Refused(format!("policy can't be asked now ({error}); try again"))),
        }
    }

    async fn ask_for(&mut self, needs: Needs) -> Result<Step, AuditError> {
        // What waits has its justification and all else: who comes again joins it.
        self.held = needs.held.as_ref().map(|(id, held)| held.sentence(*id));
        self.options = options(&needs, &self.claims);
        let held = needs.held.as_ref().filter(|_| needs.approval.is_some());
        let waiting = needs.approval.as_ref().and_then(|need| need.waiting);
        let asked = waiting.or(held.map(|(id, _)| *id));
        let asked = asked.filter(|_| self.claims.emergency.is_none());
        if let Some(id) = asked
            && let Ok(request) = self.admission.requests.get(id).await
        {
            self.claims = self.claims.or(&request.claims);
        }
        let duration = self.duration(&needs).filter(|_| asked.is_none());
        let may_ask_emergency = needs.emergency_allowed && !self.emergency_asked;
        let target = self.target.clone();
        let mut named_wrong = None;
        let question = if asked.is_none() && needs.justification {
            Question::Justification { target }
        } else if asked.is_none() && !needs.reasons.is_empty() {
            Question::Reason { target, reasons: needs.reasons }
        } else if asked.is_none()
            && let Some(ChangeNeed { open, wrong }) = needs.change
        {
            if open.is_empty() {
                let wrong = wrong.map(|why| format!("{why}; ")).unwrap_or_default();
                return Ok(Step::Refused(format!(
                    "{wrong}access to {target} wants an approved change, and none is open for it now; `change list` \
                     shows yours, `change create` makes one"
                )));
            }
            self.claims.change = None;
            named_wrong = wrong.map(|why| format!("{why}."));
            let open = open.into_iter().map(|(id, title)| OpenChange { id, title }).collect();
            Question::Change { target, open }
        } else if needs.refused_code.is_some() || asked.is_none() && needs.governance {
            if let Some(refused) = needs.refused_code {
                self.claims.governance = None;
                self.refused_codes = self.refused_codes.saturating_add(1);
                if self.refused_codes == MOST_CODES {
                    return Ok(Step::Refused(refused));
                }
                named_wrong = Some(refused);
            }
            Question::Governance { target }
        } else if may_ask_emergency {
            self.emergency_asked = true;
            Question::Emergency
        } else if let Some(duration) = duration {
            duration
        } else if let Some(approval) = needs.approval {
            return self.wait_for(approval, needs.held, needs.emergency_allowed).await;
        } else {
            return Ok(Step::Refused(format!(
                "access to {target} wants something that this gate can't ask for"
            )));
        };
        self.ask = Ask { question, wrong: named_wrong };
        Ok(Step::Ask(self.ask()))
    }

    /// The question for how long, where a request is made of what a person answers. An emergency
    /// has its group's window.
    fn duration(&self, needs: &Needs) -> Option<Question> {
        let asks = self.answered && self.wish.is_none() && self.claims.emergency.is_none();
        needs.approval.as_ref().filter(|_| asks)?;
        let (usual, longest) = self.admission.requests.lengths(&needs.group)?;
        Some(Question::Duration { target: self.target.clone(), usual, longest })
    }

    fn without_terminal(&self) -> String {
        if let Some(held) = &self.held {
            return held.clone();
        }
        let (target, user) = (&self.target, self.proved.user.as_str());
        let words = format!("request create {target}{}", self.options);
        format!(
            "access to {target} needs an answer, and none was given; without a terminal, make a request \
             first: {}",
            self.admission.ssh_name.command(Some(user), &words)
        )
    }

    /// Makes the request that approval needs, unless one waits already. An emergency waits for
    /// nothing, whatever waits beside it.
    async fn wait_for(
        &mut self,
        need: ApprovalNeed,
        held: Option<(RequestId, Held)>,
        urgent: bool,
    ) -> Result<Step, AuditError> {
        if self.claims.emergency.is_some() {
            return match self.request().await {
                Ok(_) => Box::pin(self.decide()).await,
                Err(error) => Ok(Step::Refused(error.to_string())),
            };
        }
        // What waits is joined, unless what is approved opens by itself.
        if let Some((id, held)) = held.filter(|(_, held)| held.opens() || need.waiting.is_none()) {
            return Ok(Step::Refused(held.sentence(id)));
        }
        let (request, made) = match need.waiting {
            Some(id) => (id, false),
            None => match self.request().await {
                Ok(request) => (request.id, true),
                Err(error) => return Ok(Step::Refused(error.to_string())),
            },
        };
        let target = self.target.clone();
        let (needed, levels, waited) = (need.needed, need.levels, None);
        self.ask = Ask::of(Question::Waiting { request, target, made, needed, levels, urgent, waited });
        Ok(Step::Ask(self.ask()))
    }

    async fn request(&self) -> Result<Request, RequestError> {
        let new = NewRequest {
            user: self.proved.user.clone(),
            targets: vec![self.target.clone()],
            action: Action::Session,
            claims: self.claims.clone(),
            wish: self.wish.unwrap_or_default(),
            limits: Limits::default(),
            origin: Some(self.origin),
        };
        self.admission.requests.create(new).await
    }

    /// Waits until the request changes, or until it is time to say that it has not.
    async fn wait(&mut self, id: RequestId) -> Result<Step, AuditError> {
        let (access, proved) = (self.admission.access.clone(), self.proved.clone());
        tokio::select! {
            // The connection does nothing else while it waits here.
            biased;
            why = access.until_out(&proved) => Ok(Step::Refused(why.to_string())),
            step = self.wait_on(id) => step,
        }
    }

    async fn wait_on(&mut self, id: RequestId) -> Result<Step, AuditError> {
        let mut changed = self.admission.requests.changed();
        let deadline = tokio::time::Instant::now() + self.pause;
        loop {
            match self.admission.requests.get(id).await {
                Ok(request) => match request.state {
                    RequestState::Pending => {}
                    RequestState::Approved { .. } => return self.decide().await,
                    _ => return Ok(Step::Refused(ended(&request))),
                },
                Err(error) => return Ok(Step::Refused(error.to_string())),
            }
            tokio::select! {
                changed = changed.changed() => if changed.is_err() {
                    return Ok(Step::Refused("the gate is stopping; connect again".to_owned()));
                },
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if let Question::Waiting { waited, .. } = &mut self.ask.question {
            *waited = Some(self.since.elapsed().as_secs());
        }
        Ok(Step::Ask(self.ask()))
    }
}

/// The options of a request that says what its group wants, with what was answered already.
fn options(needs: &Needs, said: &Claims) -> String {
    let governance = needs.governance || said.governance.is_some();
    let wanted = [
        (needs.justification || said.justification.is_some(), " --justification '...'"),
        (!needs.reasons.is_empty() || said.reason.is_some(), " --reason NAME"),
        (needs.change.is_some() || said.change.is_some(), " --change ID"),
        (governance, " --governance CODE"),
    ];
    wanted.into_iter().filter_map(|(wanted, option)| wanted.then_some(option)).collect()
}

/// How a request ended that somebody waited for.
fn ended(request: &Request) -> String {
    let by = request.votes.last().map(|vote| {
        let said = vote.comment.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        format!(" by {}{said}", vote.by)
    });
    format!("request {} was {}{}", request.id, request.state.word(), by.unwrap_or_default())
}
