//! The report as people read it.

use std::collections::BTreeSet;
use std::fmt;

use tidegate_common::unseen::is_unseen;

use super::{Holder, Kind, Privilege, Report};

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uid0 => "uid 0",
            Self::NoPassword => "no password",
            Self::Sudo => "sudo",
            Self::Group => "group",
            Self::Keys => "keys",
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Person => "standing",
            Self::System => "system",
            Self::Tidegate => "Tidegate",
        })
    }
}

/// What others wrote may hold anything.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if is_unseen(letter) { '\u{fffd}' } else { letter }).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["ACCOUNT", "KIND", "STATE", "WHAT", "FROM"].map(str::to_owned);
        let row = |one: &Privilege| {
            let (kind, holder) = (one.kind.to_string(), one.holder.to_string());
            [one.account.as_str(), &kind, &holder, &one.what, &one.place].map(printable)
        };
        let rows: Vec<[String; 5]> =
            std::iter::once(heading).chain(self.privileges.iter().map(row)).collect();
        let width = |place: usize| {
            rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..5).map(|place| width(place).unwrap_or_default()).collect();
        for row in rows.iter().filter(|_| !self.privileges.is_empty()) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        let of = |holder| self.privileges.iter().filter(move |one| one.holder == holder);
        let standing = of(Holder::Person).count();
        let accounts: BTreeSet<&str> = of(Holder::Person).map(|one| one.account.as_str()).collect();
        let live = of(Holder::Tidegate).count();
        match standing {
            // What was not looked at may hold any.
            0 if !self.unseen.is_empty() => {
                writeln!(f, "No standing privilege was found, but not all of the host could be looked at.")?;
            }
            0 => writeln!(f, "No account has a standing privilege that could be taken away.")?,
            _ => writeln!(
                f,
                "{standing} standing privileges of {} accounts could be taken away and granted for a session instead.",
                accounts.len()
            )?,
        }
        if live > 0 {
            writeln!(f, "{live} belong to live sessions of Tidegate and end with them.")?;
        }
        for unseen in &self.unseen {
            writeln!(f, "Not looked at: {}", printable(unseen))?;
        }
        writeln!(f, "Not covered: polkit, file capabilities, setuid programs, directory services.")
    }
}
