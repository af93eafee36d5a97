//! The units that grants are counted in: one membership, one sudo rule.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_common::grant::{Failure, Privilege, PrivilegeKind, SudoRule};
use tidegate_common::name::{AccountName, UnixGroupName};
use tidegate_common::wire::GrantOrder;

/// The smallest thing that is granted once however many sessions hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "unit", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Unit {
    /// A sudo rule. Rules that end at different times are different units.
    Sudo { account: AccountName, rule: SudoRule, not_after: Option<jiff::Timestamp> },
    /// Membership of one group.
    Group { account: AccountName, group: UnixGroupName },
}

/// What it is, for a log line.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sudo { account, rule, .. } => write!(f, "{account} may sudo {rule}"),
            Self::Group { account, group } => write!(f, "{account} is in {group}"),
        }
    }
}

impl Unit {
    /// The kind of privilege it belongs to.
    #[must_use]
    pub fn kind(&self) -> PrivilegeKind {
        match self {
            Self::Sudo { .. } => PrivilegeKind::Sudo,
            Self::Group { .. } => PrivilegeKind::Groups,
        }
    }

    /// A failure of this unit.
    #[must_use]
    pub fn failure(&self, why: impl Into<String>) -> Failure {
        Failure { kind: self.kind(), why: why.into() }
    }
}

/// What exactly a unit changes on this host: enough to take it back, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "delta", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Delta {
    /// One file of ours among the host's sudo rules.
    Sudo {
        /// Its name in the agent's own directory.
        file: String,
        /// BLAKE3 of its content, hexadecimal.
        blake3: String,
    },
    /// Which of the two files did not list the account before.
    Group { group: bool, gshadow: bool },
}

/// The units that an order asks for, each once.
///
/// # Errors
/// When it asks for a kind that this agent cannot grant.
pub fn units(order: &GrantOrder) -> Result<Vec<Unit>, Failure> {
    let mut units: Vec<Unit> = Vec::new();
    let mut add = |unit: Unit| {
        if !units.contains(&unit) {
            units.push(unit);
        }
    };
    for privilege in &order.privileges {
        match privilege {
            Privilege::Sudo(rule) => add(Unit::Sudo {
                account: order.account.clone(),
                rule: rule.clone(),
                not_after: order.expires,
            }),
            Privilege::Groups(groups) => groups
                .groups
                .iter()
                .for_each(|group| add(Unit::Group { account: order.account.clone(), group: group.clone() })),
            Privilege::AccountEnable | Privilege::AccountCreate | Privilege::Custom(_) => {
                let kind = privilege.kind();
                let why = format!("this agent cannot grant `{kind}` yet; take it out of the credential");
                return Err(Failure { kind, why });
            }
        }
    }
    Ok(units)
}
