//! The agent's own rules, in the kernel's form (struct audit_rule_data), and what is
//! read out of those of others: the kernel takes the first that matches, so an earlier
//! `never` hides what ours would tell, and lists of their own hide processes and records.

use super::assembler::EXEC_CALLS;
use super::record;

/// Marks what is ours, as `auditctl -k` would.
pub const KEY: &[u8] = b"tidegate";

const FILTER_TASK: u32 = 1;
const FILTER_EXIT: u32 = 4;
const FILTER_EXCLUDE: u32 = 5;
/// Goes before all others of its list; only in an order to add.
const PREPEND: u32 = 0x10;
const NEVER: u32 = 0;
const ALWAYS: u32 = 2;
const FIELD_LOGINUID: u32 = 9;
const FIELD_ARCH: u32 = 11;
const FIELD_KIND: u32 = 12;
const FIELD_KEY: u32 = 210;
const EQUAL: u32 = 0x4000_0000;
const NOT_EQUAL: u32 = 0x3000_0000;
const UNSET: u32 = u32::MAX;

/// Words of the mask of system calls, and the most fields.
const WORDS: usize = 64;

/// Architectures of which a process on this machine may be.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[u32] = &[0xc000_003e, 0x4000_0003];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[u32] = &[0xc000_00b7, 0x4000_0028];
#[cfg(target_arch = "riscv64")]
const ARCHITECTURES: &[u32] = &[0xc000_00f3];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const ARCHITECTURES: &[u32] = &[];

/// `-a always,exit -F arch=… -S execve,execveat -F auid!=unset -k tidegate`, once for
/// each architecture: every exec of whoever logged in, and none of a service.
#[must_use]
pub fn ours() -> Vec<Vec<u8>> {
    let of = |arch: &u32| {
        let (_, calls) = EXEC_CALLS.iter().find(|(of, _)| of == arch)?;
        Some(rule(*arch, *calls))
    };
    ARCHITECTURES.iter().filter_map(of).collect()
}

fn rule(arch: u32, calls: [u32; 2]) -> Vec<u8> {
    let key = u32::try_from(KEY.len()).unwrap_or_default();
    let mut mask = [0u32; WORDS];
    for call in calls {
        if let Some(word) = mask.get_mut(usize::try_from(call / 32).unwrap_or(usize::MAX)) {
            *word |= 1 << (call % 32);
        }
    }
    let fields = [(FIELD_ARCH, arch, EQUAL), (FIELD_LOGINUID, UNSET, NOT_EQUAL), (FIELD_KEY, key, EQUAL)];
    let column = |pick: fn(&(u32, u32, u32)) -> u32| {
        let mut words = [0u32; WORDS];
        words.iter_mut().zip(&fields).for_each(|(word, field)| *word = pick(field));
        words
    };
    let count = u32::try_from(fields.len()).unwrap_or_default();
    let words = [FILTER_EXIT, ALWAYS, count]
        .into_iter()
        .chain(mask)
        .chain(column(|field| field.0))
        .chain(column(|field| field.1))
        .chain(column(|field| field.2))
        .chain([key]);
    words.flat_map(u32::to_ne_bytes).chain(KEY.iter().copied()).collect()
}

/// The order to put a rule before all others.
#[must_use]
pub fn first(rule: &[u8]) -> Vec<u8> {
    let flags = word(rule, 0).unwrap_or_default() | PREPEND;
    flags.to_ne_bytes().into_iter().chain(rule.iter().skip(4).copied()).collect()
}

/// Whether all of ours are there, whole, and nothing before them hides what they tell.
#[must_use]
pub fn in_force(loaded: &[Vec<u8>]) -> bool {
    ours().iter().all(|rule| {
        let place = loaded.iter().position(|other| other == rule);
        place.is_some_and(|place| !loaded.iter().take(place).any(|other| hides_execs(other)))
    })
}

/// Rules of others that hide some of what runs and that no order of rules makes up for, as
/// they would be typed.
#[must_use]
pub fn blinding(loaded: &[Vec<u8>]) -> Vec<&'static str> {
    let blinds = |rule: &&Vec<u8>| match (word(rule, 0), word(rule, 1)) {
        (Some(FILTER_TASK), Some(NEVER)) => Some("-a never,task"),
        (Some(FILTER_EXCLUDE), _) if hides_records(rule) => Some("-a always,exclude"),
        _ => None,
    };
    let mut found: Vec<&str> = loaded.iter().filter_map(|rule| blinds(&rule)).collect();
    found.dedup();
    found
}

/// Whether a rule keeps the kernel from auditing any new process: `-a never,task`.
#[must_use]
pub fn blinds(rule: &[u8]) -> bool {
    word(rule, 0) == Some(FILTER_TASK) && word(rule, 1) == Some(NEVER) && word(rule, 2) == Some(0)
}

/// Whether it may keep an exec of somebody from being told: `-a never,exit`.
fn hides_execs(rule: &[u8]) -> bool {
    let never = word(rule, 0) == Some(FILTER_EXIT) && word(rule, 1) == Some(NEVER);
    let arch = equals(rule, FIELD_ARCH);
    let mut calls = EXEC_CALLS.iter().filter(|(of, _)| arch.is_none_or(|arch| arch == *of));
    let names = |call: &u32| {
        let place = 3 + usize::try_from(call / 32).unwrap_or(WORDS);
        word(rule, place).is_some_and(|mask| mask & (1 << (call % 32)) != 0)
    };
    never && calls.any(|(_, calls)| calls.iter().any(names))
}

/// Whether it leaves out records that tell of a command, a login or a change of audit.
/// Those of a directory or a file take away from a line, but never the line.
fn hides_records(rule: &[u8]) -> bool {
    let needed = [record::LOGIN, record::SYSCALL, record::CONFIG_CHANGE, record::EXECVE, record::END];
    equals(rule, FIELD_KIND).is_none_or(|kind| needed.iter().any(|it| u32::from(*it) == kind))
}

/// What a field of a rule has to be equal to, if it is asked at all.
fn equals(rule: &[u8], field: u32) -> Option<u32> {
    let count = usize::try_from(word(rule, 2).unwrap_or_default()).unwrap_or(WORDS).min(WORDS);
    let column = |number: usize, place: usize| word(rule, 3 + number * WORDS + place);
    let place = (0..count).find(|place| column(1, *place) == Some(field))?;
    column(2, place).filter(|_| column(3, place) == Some(EQUAL))
}

fn word(rule: &[u8], place: usize) -> Option<u32> {
    let bytes = rule.get(place * 4..place * 4 + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule of somebody else's, for these system calls or all.
    fn other(list: u32, action: u32, fields: &[(u32, u32, u32)], calls: Option<&[u32]>) -> Vec<u8> {
        let mut mask = [if calls.is_some() { 0 } else { u32::MAX }; WORDS];
        calls.into_iter().flatten().for_each(|call| mask[*call as usize / 32] |= 1 << (call % 32));
        let column = |pick: fn(&(u32, u32, u32)) -> u32| {
            let mut words = [0u32; WORDS];
            words.iter_mut().zip(fields).for_each(|(word, field)| *word = pick(field));
            words
        };
        let head = [list, action, u32::try_from(fields.len()).unwrap()];
        let columns = [mask, column(|it| it.0), column(|it| it.1), column(|it| it.2)];
        let words = head.into_iter().chain(columns.into_iter().flatten()).chain([0]);
        words.flat_map(u32::to_ne_bytes).collect()
    }

    #[test]
    fn our_rules_are_in_force_when_they_are_whole_and_nothing_before_them_hides_an_exec() {
        let with = |before: &[Vec<u8>], after: &[Vec<u8>]| [before, &ours(), after].concat();
        let (arch, calls) = EXEC_CALLS[0];
        let open = 2;
        let never = other(FILTER_EXIT, NEVER, &[], Some(&[calls[1]]));
        assert!(in_force(&with(&[], std::slice::from_ref(&never))));
        for hides in [
            never.clone(),
            other(FILTER_EXIT, NEVER, &[], None),
            other(FILTER_EXIT, NEVER, &[(FIELD_LOGINUID, 1000, EQUAL)], Some(&[calls[0]])),
            other(FILTER_EXIT, NEVER, &[(FIELD_ARCH, arch, EQUAL)], Some(&[calls[0]])),
        ] {
            assert!(!in_force(&with(std::slice::from_ref(&hides), &[])));
        }
        for fine in [
            other(FILTER_EXIT, ALWAYS, &[], None),
            other(FILTER_EXIT, NEVER, &[(FIELD_ARCH, arch, EQUAL)], Some(&[open])),
        ] {
            assert!(in_force(&with(std::slice::from_ref(&fine), &[])));
        }
        // One of the same name is none of ours: it has a condition more.
        let mut false_ones = ours();
        for rule in &mut false_ones {
            let place = (3 + 3 * WORDS) * 4;
            rule[place] ^= 1;
        }
        assert!(!in_force(&false_ones) && !in_force(&ours()[1..]) && !in_force(&[]));
        for rule in ours() {
            let order = first(&rule);
            assert_eq!((word(&order, 0), &order[4..]), (Some(FILTER_EXIT | PREPEND), &rule[4..]));
        }
    }

    #[test]
    fn rules_that_hide_processes_or_records_blind_wherever_they_are() {
        let kind = |kind: u16, operator| (FIELD_KIND, u32::from(kind), operator);
        for hides in [
            other(FILTER_TASK, NEVER, &[(FIELD_LOGINUID, 1000, EQUAL)], None),
            other(FILTER_EXCLUDE, ALWAYS, &[kind(record::EXECVE, EQUAL)], None),
            other(FILTER_EXCLUDE, NEVER, &[kind(record::CONFIG_CHANGE, EQUAL)], None),
            other(FILTER_EXCLUDE, ALWAYS, &[kind(record::CWD, NOT_EQUAL)], None),
            other(FILTER_EXCLUDE, ALWAYS, &[(FIELD_LOGINUID, 1000, EQUAL)], None),
        ] {
            assert_eq!(blinding(&[ours(), vec![hides]].concat()).len(), 1);
        }
        for fine in [
            other(FILTER_TASK, ALWAYS, &[], None),
            other(FILTER_EXCLUDE, ALWAYS, &[kind(record::CWD, EQUAL)], None),
            other(FILTER_EXIT, NEVER, &[], None),
        ] {
            assert!(blinding(&[fine]).is_empty());
        }
        assert!(blinding(&[Vec::new(), vec![5, 0]]).is_empty() && !in_force(&[Vec::new()]));
    }

    #[test]
    fn a_rule_never_task_blinds_and_one_with_a_condition_does_not() {
        let words = |count: u32| -> Vec<u8> {
            [FILTER_TASK, NEVER, count].into_iter().flat_map(u32::to_ne_bytes).collect()
        };
        assert!(blinds(&words(0)));
        assert!(!blinds(&words(1)));
    }
}
