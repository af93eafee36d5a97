//! The agent's own rules, in the kernel's form (struct audit_rule_data), and what is
//! read out of those of others.

use super::assembler::EXEC_CALLS;

/// Marks what is ours, as `auditctl -k` would.
pub const KEY: &[u8] = b"tidegate";

const FILTER_TASK: u32 = 1;
const FILTER_EXIT: u32 = 4;
const NEVER: u32 = 0;
const ALWAYS: u32 = 2;
const FIELD_LOGINUID: u32 = 9;
const FIELD_ARCH: u32 = 11;
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

/// Whether a rule that the kernel lists is one of ours.
#[must_use]
pub fn is_ours(rule: &[u8]) -> bool {
    let count = usize::try_from(word(rule, 2).unwrap_or_default()).unwrap_or(WORDS).min(WORDS);
    let keyed = (0..count).any(|place| word(rule, 3 + WORDS + place) == Some(FIELD_KEY));
    let length = usize::try_from(word(rule, 3 + 4 * WORDS).unwrap_or_default()).unwrap_or_default();
    // Our key is the only text in a rule of ours.
    keyed && length == KEY.len() && rule.get(BUFFER..).is_some_and(|text| text.starts_with(KEY))
}

/// Whether a rule keeps the kernel from auditing any new process: `-a never,task`.
#[must_use]
pub fn blinds(rule: &[u8]) -> bool {
    word(rule, 0) == Some(FILTER_TASK) && word(rule, 1) == Some(NEVER) && word(rule, 2) == Some(0)
}

/// Where the texts of a rule begin.
const BUFFER: usize = (3 + 4 * WORDS + 1) * 4;

fn word(rule: &[u8], place: usize) -> Option<u32> {
    let bytes = rule.get(place * 4..place * 4 + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rules_are_known_again_and_those_of_others_are_not() {
        for rule in ours() {
            assert!(is_ours(&rule) && !blinds(&rule));
            let mut other = rule.clone();
            *other.last_mut().unwrap() = b'x'; // another key
            assert!(!is_ours(&other));
        }
        assert!(!is_ours(b"") && !blinds(b""));
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
