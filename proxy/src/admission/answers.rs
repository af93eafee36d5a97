//! What is taken for an answer, and what is said of one that is not.

use tidegate_common::model::{Text, Wish, can_be_asked, maybe_urgent};
use tidegate_common::name::{CredentialName, ReasonName};
use tidegate_common::time::Length;

use super::{Conversation, Question};

impl Conversation {
    /// Takes what was typed for what was asked last.
    ///
    /// # Errors
    /// What is wrong with the answer, if it is not taken.
    pub(super) fn take(&mut self, typed: &str) -> Result<(), String> {
        let claims = &mut self.claims;
        match &self.ask.question {
            Question::Justification { .. } => claims.justification = Some(text(typed)?),
            Question::Governance { .. } => claims.governance = Some(text(typed)?),
            Question::Change { open, .. } => {
                let number = typed.parse::<usize>().ok();
                let by_number = number.and_then(|number| open.get(number.wrapping_sub(1)));
                claims.change = Some(match by_number {
                    Some(chosen) => chosen.id.clone(),
                    None => typed.parse().map_err(|error| format!("{error}"))?,
                });
            }
            Question::Emergency => claims.emergency = maybe_urgent(typed)?,
            Question::Duration { target, longest, .. } => {
                let duration = if typed.is_empty() { None } else { Some(length(typed, target, *longest)?) };
                self.wish = Some(Wish { start: None, duration });
            }
            Question::Reason { reasons, .. } => {
                let number = typed.parse::<usize>().ok();
                let by_number = number.and_then(|number| reasons.get(number.wrapping_sub(1)));
                let chosen = by_number.or_else(|| reasons.iter().find(|reason| reason.as_str() == typed));
                let none = || {
                    let names: Vec<_> = reasons.iter().map(ReasonName::as_str).collect();
                    format!("That is none of them; choose one of {}.", names.join(", "))
                };
                claims.reason = Some(chosen.ok_or_else(none)?.clone());
            }
            Question::Waiting { .. } => {}
        }
        Ok(())
    }
}

fn text(typed: &str) -> Result<Text, String> {
    typed.parse().map_err(|error| format!("{error}"))
}

/// A length of time that is not longer than the group's longest session.
fn length(typed: &str, target: &CredentialName, longest: Option<Length>) -> Result<Length, String> {
    let asked: Length = typed.parse().map_err(|error| format!("{error}."))?;
    match longest {
        Some(longest) if asked.approximate() > longest.approximate() => {
            Err(format!("Access to {target} is given for {longest} at most; say that or less."))
        }
        _ if !can_be_asked(asked) => {
            Err("Access is asked for a minute at least and for 366 days at most; say one between these."
                .to_owned())
        }
        _ => Ok(asked),
    }
}
