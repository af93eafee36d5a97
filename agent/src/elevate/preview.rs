//! What an approver is shown before they say yes: each change in one sentence, or why
//! it cannot be made. Changes nothing, takes no lock and runs no program of `custom`.

use tidegate_common::id::SessionId;

use super::{Elevator, coming, custom, sudo};
use crate::core::{Delta, Unit};

/// The longest sentence, in characters: a frame has to hold all of them.
const LONGEST: usize = 500;

impl Elevator {
    /// One sentence for each unit; `held` are those that another session has already.
    #[must_use]
    pub fn preview(&self, fresh: Vec<Unit>, held: &[Unit]) -> Vec<String> {
        let coming = coming(&fresh).cloned();
        let shared = held
            .iter()
            .map(|unit| format!("{unit} for another session already; shared until both have ended"));
        let planned = fresh.iter().map(|unit| {
            let said = match unit {
                Unit::Custom { account, custom } => {
                    custom::preview(&self.paths, &custom::Wanted { account, custom })
                }
                _ => self
                    .plan_one(SessionId::new(0, 0), 0, unit, coming.as_ref())
                    .and_then(|delta| self.sentence(unit, &delta)),
            };
            said.unwrap_or_else(|why| format!("cannot be granted: {why}"))
        });
        planned.chain(shared).map(|line| line.chars().take(LONGEST).collect()).collect()
    }

    fn sentence(&self, unit: &Unit, delta: &Delta) -> Result<String, String> {
        let own = matches!(delta, Delta::Created { .. });
        let account =
            |account: &tidegate_common::name::AccountName| match account.as_str().starts_with("tg-0000") {
                true => "the new account".to_owned(),
                false => format!("`{account}`"),
            };
        Ok(match (unit, delta) {
            (unit, delta) if delta.is_nothing() => format!("{unit} already; nothing to do"),
            (Unit::Sudo { account: of, rule, not_after }, _) => {
                let place = self.paths.sudoers_d();
                let said = format!("lets {} sudo {rule}, by a file in {}", account(of), place.display());
                let rule = sudo::Rule { account: of, rule, not_after: *not_after };
                let effects = sudo::effects(&self.paths, &rule).into_iter().map(|effect| {
                    let perhaps = if effect.certain { "" } else { "perhaps " };
                    format!("{perhaps}{}", effect.said)
                });
                [said].into_iter().chain(effects).collect::<Vec<_>>().join("; ")
            }
            (Unit::Group { account: of, group }, _) => format!("adds {} to the group `{group}`", account(of)),
            (Unit::Enabled { account: of }, Delta::Enabled { password, expires }) => {
                let lock = password.map(|_| "lifts the lock of its password, which stays unusable");
                let expiry = expires.as_ref().map(|swap| format!("lifts its expiry (day {})", swap.before));
                let said: Vec<String> = lock.map(str::to_owned).into_iter().chain(expiry).collect();
                format!("enables {}: {}", account(of), said.join(", "))
            }
            (Unit::Shell { account: of, .. }, Delta::Shell { shell: Some(swap) }) => {
                format!("gives {} the shell {} instead of {}", account(of), swap.after, swap.before)
            }
            (Unit::Created { .. }, Delta::Created { shell, .. }) if own => {
                format!(
                    "creates an account for the session, with a home in /home and the shell {shell}; it is removed with its files"
                )
            }
            (unit, _) => unit.to_string(),
        })
    }
}
