//! What stands against a part of a request that is being written, so that whoever writes it hears of
//! that at once and not when all of it is there. What comes of it all is [`Requests::create`]'s alone.

use tidegate_common::change::NotCovered;
use tidegate_common::model::comes;
use tidegate_common::policy::{ChangeNeed, Miss, Needs, Refusal, Why};
use tidegate_common::time::Window;

use super::{Governed, MOST_TARGETS, NewRequest, RequestError, Requests, governed, is_counted, moment, wish};
use crate::governance::Checked;

/// A part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestPart {
    /// The credentials.
    Targets,
    /// The free text.
    Justification,
    /// The registered reason.
    Reason,
    /// The governance code.
    Governance,
    /// The planned change.
    Change,
    /// From when.
    Start,
    /// For how long.
    Duration,
    /// On which days, at which times.
    Times,
    /// For how many sessions.
    Sessions,
}

impl RequestPart {
    /// Whether it is asked for before the start, so that a start that was said ahead can still be changed.
    fn comes_before_start(self) -> bool {
        match self {
            Self::Targets | Self::Justification | Self::Reason | Self::Governance | Self::Change => true,
            Self::Start | Self::Duration | Self::Times | Self::Sessions => false,
        }
    }
}

impl Requests {
    /// Looks at one part, in the light of those that are there.
    ///
    /// # Errors
    /// What stands against it. What may come right by a start that is asked for later does not.
    pub async fn look(&self, new: &NewRequest, part: RequestPart) -> Result<(), RequestError> {
        if part == RequestPart::Sessions {
            return is_counted(&new.limits);
        }
        if new.targets.is_empty() || new.targets.len() > MOST_TARGETS {
            return Err(RequestError::Targets);
        }
        let now = moment();
        let start = match part {
            RequestPart::Start => wish::start(new.wish.start, now)?,
            _ => new.wish.start.unwrap_or(now),
        };
        let checked = match part {
            RequestPart::Governance => self.0.access.checked(new.claims.governance.as_ref()).await,
            _ => Checked::Good,
        };
        let snapshot = self.0.access.snapshot();
        for target in &new.targets {
            let one = NewRequest { targets: vec![target.clone()], ..new.clone() };
            let changes = match part {
                RequestPart::Change | RequestPart::Start => {
                    self.changes(&snapshot, &one, None, start).await?
                }
                _ => Vec::new(),
            };
            // An emergency begins now, whatever start is asked for.
            let known =
                part == RequestPart::Start || new.wish.start.is_some() || new.claims.emergency.is_some();
            let excused = !known || part.comes_before_start();
            let Governed { group: governing, needs } =
                match governed(checked.refused(), &snapshot, &one, target, start, &changes) {
                    Err(RequestError::Refused(refusal)) if excused && comes_later(&refusal) => continue,
                    governed => governed?,
                };
            let alone = || RequestError::NotNeeded(target.clone());
            let group = snapshot.group(&governing).ok_or_else(alone)?;
            match part {
                // What needs no word now may need one when it starts.
                RequestPart::Targets | RequestPart::Start
                    if known && needs.is_none() && !wish::says(group, new.action) =>
                {
                    return Err(alone());
                }
                RequestPart::Targets => self.refuse_another(&one, &governing, now).await?,
                RequestPart::Duration => wish::is_within(group, new.wish.duration, start)?,
                RequestPart::Times if needs.is_none() || new.wish.start.is_some() => {
                    let mut limits = new.limits.clone();
                    limits.zone = limits.zone.or_else(|| Some(group.limitation.zone.clone()));
                    comes(&limits, Window::starting(start, self.length(group, &new.wish, start)))?;
                }
                _ => {}
            }
            if let Some(missing) = needs.and_then(|needs| of_part(needs, part)) {
                return Err(RequestError::Missing(Box::new(missing)));
            }
        }
        Ok(())
    }
}

/// Whether it is refused only at this moment.
fn comes_later(refusal: &Refusal) -> bool {
    matches!(refusal.why(), Why::NoGroup { closest: Some((_, Miss::Closed | Miss::Begins(_))) })
}

/// What is missing of this part.
fn of_part(needs: Needs, part: RequestPart) -> Option<Needs> {
    let nothing = Needs {
        justification: false,
        reasons: Vec::new(),
        change: None,
        governance: false,
        refused_code: None,
        ..needs.clone()
    };
    let missing = match part {
        RequestPart::Justification => Needs { justification: needs.justification, ..nothing },
        RequestPart::Reason => Needs { reasons: needs.reasons, ..nothing },
        RequestPart::Governance => {
            Needs { governance: needs.governance, refused_code: needs.refused_code, ..nothing }
        }
        RequestPart::Change => {
            Needs { change: needs.change.filter(|change| !begins_later(change)), ..nothing }
        }
        RequestPart::Start => Needs { change: needs.change, ..nothing },
        _ => return None,
    };
    missing.claims_missing().then_some(missing)
}

/// Whether the change that is named is only not open yet.
fn begins_later(change: &ChangeNeed) -> bool {
    matches!(change.wrong, Some(NotCovered::Early { .. }))
}
