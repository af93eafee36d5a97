//! The units that grants are counted in: one membership, one sudo rule, one account.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_common::grant::{Custom, Failure, Privilege, PrivilegeKind, Shell, SudoRule, login_account};
use tidegate_common::id::SessionId;
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
    /// An existing account whose password's lock and expiry are lifted.
    Enabled { account: AccountName },
    /// A login shell for an account that has none.
    Shell { account: AccountName, shell: Shell },
    /// An account of one session's own.
    Created {
        account: AccountName,
        session: SessionId,
        shell: Option<Shell>,
        expires: Option<jiff::Timestamp>,
    },
    /// The host administrator's own programs, for an account.
    Custom { account: AccountName, custom: Custom },
}

/// What changes side by side on the host. What is slow holds up nothing that is quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A few files of the host's.
    Quick,
    /// As long as an administrator's program runs, processes take to end, or files to go.
    Slow,
}

/// What it is, for a log line.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sudo { account, rule, .. } => write!(f, "{account} may sudo {rule}"),
            Self::Group { account, group } => write!(f, "{account} is in {group}"),
            Self::Enabled { account } => write!(f, "{account} is enabled"),
            Self::Shell { account, shell } => write!(f, "{account} has the shell {shell}"),
            Self::Created { account, .. } => write!(f, "{account} is created for the session"),
            Self::Custom { account, custom } => write!(f, "{account} has {custom}"),
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
            Self::Enabled { .. } | Self::Shell { .. } => PrivilegeKind::AccountEnable,
            Self::Created { .. } => PrivilegeKind::AccountCreate,
            Self::Custom { .. } => PrivilegeKind::Custom,
        }
    }

    /// How long it takes to take back.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            Self::Created { .. } | Self::Custom { .. } => Pace::Slow,
            Self::Sudo { .. } | Self::Group { .. } | Self::Enabled { .. } | Self::Shell { .. } => Pace::Quick,
        }
    }

    /// The account that has it.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        match self {
            Self::Sudo { account, .. }
            | Self::Group { account, .. }
            | Self::Enabled { account }
            | Self::Shell { account, .. }
            | Self::Created { account, .. }
            | Self::Custom { account, .. } => account,
        }
    }

    /// The same with another end, where its text on the host says when it ends.
    #[must_use]
    pub fn until(&self, end: jiff::Timestamp) -> Option<Self> {
        match self {
            Self::Sudo { account, rule, not_after: Some(_) } => {
                let (account, rule) = (account.clone(), rule.clone());
                Some(Self::Sudo { account, rule, not_after: Some(end) })
            }
            _ => None,
        }
    }

    /// Whether its text on the host says that it ends then.
    #[must_use]
    pub fn ends_at(&self, end: jiff::Timestamp) -> bool {
        matches!(self, Self::Sudo { not_after: Some(own), .. } if *own == end)
    }

    /// Whether its text on the host says that it ends earlier.
    #[must_use]
    pub fn ends_before(&self, end: jiff::Timestamp) -> bool {
        matches!(self, Self::Sudo { not_after: Some(own), .. } if *own < end)
    }

    /// Whether both change the same thing to different ends, so that neither could be
    /// taken back without the other.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Shell { account, shell }, Self::Shell { account: of, shell: another }) => {
                account == of && shell != another
            }
            _ => false,
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
    /// Fields of shadow(5) that were changed; none where the account was usable.
    Enabled { password: Option<Lifted>, expires: Option<Swap> },
    /// The field of passwd(5) that was changed; none where the account had a shell.
    Shell { shell: Option<Swap> },
    /// The account, as its line in passwd(5) has it.
    Created { uid: u32, gid: u32, gecos: String, home: String, shell: String, expires: String, day: i64 },
    /// Programs of the host's administrator.
    Custom {
        /// The session they were run for.
        session: SessionId,
        /// Whether `grant` is run: not where it was in force before.
        run: bool,
        /// BLAKE3 of `revoke`, hexadecimal.
        revoke: String,
    },
}

/// A lock taken off a password: so many `!` before it became as many `*`, which no
/// password matches either. The password itself stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifted {
    pub marks: usize,
}

/// A field before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    pub before: String,
    pub after: String,
}

impl Delta {
    /// Whether the host was as wanted before, so that nothing is changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(
            self,
            Self::Group { group: false, gshadow: false }
                | Self::Enabled { password: None, expires: None }
                | Self::Shell { shell: None }
                | Self::Custom { run: false, .. }
        )
    }
}

/// The units that an order asks for, each once; an account that is created comes first.
///
/// # Errors
/// When it asks for two accounts, or for one that is both new and there.
pub fn units(order: &GrantOrder) -> Result<Vec<Unit>, Failure> {
    let account = login_account(order.session, &order.account, &order.privileges);
    let mut units: Vec<Unit> = Vec::new();
    let mut add = |unit: Unit| {
        if !units.contains(&unit) {
            units.push(unit);
        }
    };
    for privilege in &order.privileges {
        let account = account.clone();
        match privilege {
            Privilege::Sudo(rule) => {
                add(Unit::Sudo { account, rule: rule.clone(), not_after: order.expires });
            }
            Privilege::Groups(groups) => groups
                .groups
                .iter()
                .for_each(|group| add(Unit::Group { account: account.clone(), group: group.clone() })),
            Privilege::AccountEnable(enable) => {
                add(Unit::Enabled { account: account.clone() });
                enable
                    .shell
                    .iter()
                    .for_each(|shell| add(Unit::Shell { account: account.clone(), shell: shell.clone() }));
            }
            Privilege::AccountCreate(create) => add(Unit::Created {
                account,
                session: order.session,
                shell: create.shell.clone(),
                expires: order.expires,
            }),
            Privilege::Custom(custom) => add(Unit::Custom { account, custom: custom.clone() }),
        }
    }
    units.sort_by_key(|unit| !matches!(unit, Unit::Created { .. }));
    let of = |kind| units.iter().filter(move |unit| unit.kind() == kind).count();
    let (created, enabled) = (of(PrivilegeKind::AccountCreate), of(PrivilegeKind::AccountEnable));
    let contradict = units.iter().any(|one| units.iter().any(|other| one.contradicts(other)));
    if created > 1 || (created > 0 && enabled > 0) || contradict {
        let why = "the credential asks for two accounts or two shells at once; leave one of them";
        let kind = if created > 0 { PrivilegeKind::AccountCreate } else { PrivilegeKind::AccountEnable };
        return Err(Failure { kind, why: why.to_owned() });
    }
    Ok(units)
}
