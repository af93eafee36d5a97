//! The talk before admission, over keyboard-interactive (RFC 4256), so that every
//! client shows it: what policy still wants is asked one by one, and a wait for
//! approval is a row of requests without prompts that tell how it stands.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_common::audit::{Event, Note};
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims, Request, RequestState, Wish};
use tidegate_common::name::{CredentialName, ReasonName};
use tidegate_common::policy::{ApprovalNeed, Decision, Needs, Permit, Proved};

use super::Gate;
use super::handler::HandlerError;
use crate::requests::{NewRequest, RequestError};

/// The first and the longest pause between two lines that say that all still wait.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const EMERGENCY: &str = "In an emergency, say why this can't wait for approval: you get in at once, every approver is told, and one \
                         of them reviews it afterwards. Otherwise just press Enter.";
/// So many empty answers in a row are a client's without a terminal.
const MOST_EMPTY: u8 = 3;

/// What a client is shown: a text, and prompts to answer (none while waiting).
#[derive(Debug, Clone)]
pub struct Screen {
    /// The text above the prompts.
    pub instructions: String,
    /// The prompts; what is typed is shown.
    pub prompts: Vec<String>,
}

/// Where a knock has led.
pub enum Step {
    /// Policy said yes.
    Admitted(Box<Permit>),
    /// It said no; the sentence is for the user.
    Refused(String),
    /// There is something to show.
    Ask(Screen),
}

/// What was asked last.
enum Question {
    Justification,
    Reason(Vec<ReasonName>),
    Change,
    Governance,
    Emergency,
    Waiting(RequestId),
}

/// One user in front of one credential.
pub struct Door {
    gate: Arc<Gate>,
    proved: Proved,
    target: CredentialName,
    origin: IpAddr,
    claims: Claims,
    question: Question,
    emergency_asked: bool,
    /// Answers in a row that said nothing.
    empty: u8,
    screen: Screen,
    since: Instant,
    pause: Duration,
}

impl Door {
    /// A door to `target`.
    pub fn new(gate: Arc<Gate>, proved: Proved, target: CredentialName, origin: IpAddr) -> Self {
        Self {
            gate,
            proved,
            target,
            origin,
            claims: Claims::default(),
            question: Question::Justification,
            emergency_asked: false,
            empty: 0,
            screen: Screen { instructions: String::new(), prompts: Vec::new() },
            since: Instant::now(),
            pause: FIRST_PAUSE,
        }
    }

    /// What was shown last.
    pub fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// Asks policy with what is known so far.
    pub async fn knock(&mut self) -> Result<Step, HandlerError> {
        let access = &self.gate.access;
        let decision =
            access.decide(&self.proved, &self.target, Action::Session, self.origin, &self.claims).await;
        match decision {
            Ok(Decision::Permitted(permit)) => Ok(Step::Admitted(Box::new(permit))),
            Ok(Decision::Refused(refusal)) => {
                let event = Event::SessionRefused {
                    session: crate::session::new_id(),
                    user: self.proved.user.clone(),
                    target: self.target.clone(),
                    why: Note::new(refusal.why().to_string()),
                };
                self.gate.audit.append(event.by_user(&self.proved.user, self.origin)).await?;
                Ok(Step::Refused(refusal.to_string()))
            }
            Ok(Decision::Needs(needs)) => self.ask(needs).await,
            Err(error) => Ok(Step::Refused(format!("policy can't be asked now ({error}); try again"))),
        }
    }

    async fn ask(&mut self, needs: Needs) -> Result<Step, HandlerError> {
        let target = &self.target;
        // What waits has its justification and all else: who comes again joins it.
        let asked = needs.approval.as_ref().and_then(|need| need.waiting.or(need.opens.map(|(id, _)| id)));
        let asked = asked.filter(|_| self.claims.emergency.is_none());
        if let Some(id) = asked
            && let Ok(request) = self.gate.requests.get(id).await
        {
            self.claims = self.claims.or(&request.claims);
        }
        let joins = asked.is_some();
        if joins && (self.emergency_asked || !needs.emergency_allowed) {
            let urgent = needs.emergency_allowed;
            if let Some(approval) = needs.approval {
                return self.wait_for(approval, urgent).await;
            }
        }
        let (question, instructions, prompt) = if joins {
            self.emergency_asked = true;
            (Question::Emergency, EMERGENCY.to_owned(), "Emergency: ")
        } else if needs.justification {
            let text = format!("Access to {target} wants a justification.");
            (Question::Justification, text, "Justification: ")
        } else if !needs.reasons.is_empty() {
            let mut text = format!("Access to {target} wants a reason:\n");
            for (place, reason) in needs.reasons.iter().enumerate() {
                text.push_str(&format!("  {}  {reason}\n", place + 1));
            }
            (Question::Reason(needs.reasons), text, "Reason (number or name): ")
        } else if needs.change {
            (Question::Change, format!("Access to {target} wants a change ID."), "Change ID: ")
        } else if needs.governance {
            (
                Question::Governance,
                format!("Access to {target} wants a governance code."),
                "Governance code: ",
            )
        } else if needs.emergency_allowed && !self.emergency_asked {
            self.emergency_asked = true;
            (Question::Emergency, EMERGENCY.to_owned(), "Emergency: ")
        } else if let Some(approval) = needs.approval {
            return self.wait_for(approval, needs.emergency_allowed).await;
        } else {
            let sentence = format!("access to {target} wants something that this gate can't ask for");
            return Ok(Step::Refused(sentence));
        };
        self.question = question;
        self.screen = Screen { instructions, prompts: vec![prompt.to_owned()] };
        Ok(Step::Ask(self.screen()))
    }

    /// Takes the answers to what was shown last.
    pub async fn answer(&mut self, answers: Vec<String>) -> Result<Step, HandlerError> {
        if let Question::Waiting(id) = self.question {
            return self.wait(id).await;
        }
        let answer = answers.first().map(|answer| answer.trim()).unwrap_or_default();
        if let Err(sentence) = self.take(answer) {
            self.empty = if answer.is_empty() { self.empty.saturating_add(1) } else { 0 };
            // A client without a terminal answers with nothing, for ever.
            if self.empty >= MOST_EMPTY {
                return Ok(Step::Refused(self.without_terminal()));
            }
            self.screen.instructions = if answer.is_empty() {
                "This can't be left empty; Ctrl-C leaves.".to_owned()
            } else {
                sentence
            };
            return Ok(Step::Ask(self.screen()));
        }
        self.empty = 0;
        self.knock().await
    }

    fn without_terminal(&self) -> String {
        format!(
            "access to {target} needs an answer, and none was given; without a terminal, make a request \
             first: ssh {user}@GATE request create {target} --justification '...'",
            target = self.target,
            user = self.proved.user,
        )
    }

    fn take(&mut self, answer: &str) -> Result<(), String> {
        let claims = &mut self.claims;
        match &self.question {
            Question::Justification => claims.justification = Some(text(answer)?),
            Question::Governance => claims.governance = Some(text(answer)?),
            Question::Change => {
                claims.change = Some(answer.parse().map_err(|error| format!("{error}"))?);
            }
            Question::Emergency => {
                if !answer.is_empty() {
                    claims.emergency = Some(text(answer)?);
                }
            }
            Question::Reason(reasons) => {
                let by_number =
                    answer.parse::<usize>().ok().and_then(|number| reasons.get(number.wrapping_sub(1)));
                let chosen = by_number.or_else(|| reasons.iter().find(|reason| reason.as_str() == answer));
                match chosen {
                    Some(reason) => claims.reason = Some(reason.clone()),
                    None => {
                        let names: Vec<_> = reasons.iter().map(ReasonName::as_str).collect();
                        return Err(format!("That is none of them; choose one of {}.", names.join(", ")));
                    }
                }
            }
            Question::Waiting(_) => {}
        }
        Ok(())
    }

    /// Makes the request that approval needs, unless one waits already. An emergency waits for
    /// nothing, whatever waits beside it.
    async fn wait_for(&mut self, need: ApprovalNeed, urgent: bool) -> Result<Step, HandlerError> {
        if self.claims.emergency.is_some() {
            return match self.request().await {
                Ok(_) => Box::pin(self.knock()).await,
                Err(error) => Ok(Step::Refused(error.to_string())),
            };
        }
        let people = if need.needed == 1 { "approval" } else { "approvals" };
        if let Some((id, opens)) = need.opens {
            let sentence =
                format!("request {id} is approved, but its time begins only at {opens}; come again then");
            return Ok(Step::Refused(sentence));
        }
        let (id, said) = match need.waiting {
            Some(id) => (id, format!("Request {id} for {} already waits", self.target)),
            None => match self.request().await {
                Ok(request) => (request.id, format!("Request {} for {} is made", request.id, self.target)),
                Err(error) => return Ok(Step::Refused(error.to_string())),
            },
        };
        self.question = Question::Waiting(id);
        let per_level = if need.levels { " in each level" } else { "" };
        let emergency = if urgent { " Should it become an emergency, leave and come again." } else { "" };
        self.screen = Screen {
            instructions: format!(
                "{said} for {} {people}{per_level}. You get in as soon as it is given; Ctrl-C leaves, and the \
                 request stays.{emergency}",
                need.needed
            ),
            prompts: Vec::new(),
        };
        Ok(Step::Ask(self.screen()))
    }

    async fn request(&self) -> Result<Request, RequestError> {
        let new = NewRequest {
            user: self.proved.user.clone(),
            target: self.target.clone(),
            action: Action::Session,
            claims: self.claims.clone(),
            wish: Wish::default(),
            origin: Some(self.origin),
        };
        self.gate.requests.create(new).await
    }

    /// Waits until the request changes, or until it is time to say that it has not.
    async fn wait(&mut self, id: RequestId) -> Result<Step, HandlerError> {
        let (gate, proved) = (Arc::clone(&self.gate), self.proved.clone());
        tokio::select! {
            // The connection does nothing else while it waits here.
            biased;
            why = gate.access.until_out(&proved) => Ok(Step::Refused(why.to_string())),
            step = self.wait_on(id) => step,
        }
    }

    async fn wait_on(&mut self, id: RequestId) -> Result<Step, HandlerError> {
        let mut changed = self.gate.requests.changed();
        let deadline = tokio::time::Instant::now() + self.pause;
        loop {
            match self.gate.requests.get(id).await {
                Ok(request) => match request.state {
                    RequestState::Pending => {}
                    RequestState::Approved { .. } => return self.knock().await,
                    other => {
                        let by = request.votes.last().map(|vote| {
                            let said =
                                vote.comment.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                            format!(" by {}{said}", vote.by)
                        });
                        let by = by.unwrap_or_default();
                        return Ok(Step::Refused(format!("request {id} was {}{by}", other.word())));
                    }
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
        let waited = self.since.elapsed().as_secs();
        self.screen.instructions =
            format!("Request {id} still waits for approval ({} min {:02} s).", waited / 60, waited % 60);
        Ok(Step::Ask(self.screen()))
    }
}

fn text(answer: &str) -> Result<tidegate_common::model::Text, String> {
    answer.parse().map_err(|error| format!("{error}"))
}
