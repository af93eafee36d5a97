//! Memberships against account files in a directory of the test's own.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::elevate::Elevator;
use crate::test::Scratch;
use tidegate_common::id::SessionId;

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nops:x:1000:1000::/home/ops:/bin/sh\n";
// No line end at the last line, an empty line, a comment and an odd list, as found on real hosts.
const GROUP: &str =
    "root:x:0:\nadm:x:4:jane,\n\n# hand-made\ndocker:x:998:jane,joe\nops:x:1000:\nwheel:x:10:";
const GSHADOW: &str = "root:*::\nadm:*:jane:jane,\ndocker:!::jane,joe\nops:!::";

fn host() -> (Scratch, Elevator) {
    let scratch = Scratch::new();
    let etc = &scratch.paths().etc;
    std::fs::write(etc.join("passwd"), PASSWD).unwrap();
    std::fs::write(etc.join("group"), GROUP).unwrap();
    std::fs::write(etc.join("gshadow"), GSHADOW).unwrap();
    let elevator = Elevator::new(scratch.paths().clone());
    (scratch, elevator)
}

fn text(etc: &Path, file: &str) -> String {
    std::fs::read_to_string(etc.join(file)).unwrap()
}

fn unit(group: &str) -> Unit {
    Unit::Group { account: "ops".parse().unwrap(), group: group.parse().unwrap() }
}

fn session() -> SessionId {
    SessionId::new(1, 1)
}

fn held(planned: Vec<(Unit, Delta)>) -> Vec<Held> {
    let holders = BTreeSet::from([session()]);
    let held = |(unit, delta)| Held { unit, delta, applied: true, holders: holders.clone(), left_by: None };
    planned.into_iter().map(held).collect()
}

#[test]
fn memberships_come_and_go_and_every_other_byte_stays() {
    let (scratch, mut elevator) = host();
    let etc = scratch.paths().etc.clone();
    let units = vec![unit("adm"), unit("docker"), unit("wheel"), unit("ops")];
    let planned = elevator.plan(session(), units).unwrap();
    let said = elevator.apply(&planned, &[]).unwrap();
    assert_eq!(said[1], "ops is in docker");
    assert_eq!(said[3], "ops is in ops already; left as it is", "its primary group");
    assert!(text(&etc, "group").contains("docker:x:998:jane,joe,ops\n"));
    assert!(text(&etc, "group").ends_with("wheel:x:10:ops"));
    assert!(text(&etc, "gshadow").contains("docker:!::jane,joe,ops\n"));
    let gone = elevator.undo(held(planned));
    assert!(gone.iter().all(|gone| gone.result == Ok(None)), "{gone:?}");
    assert_eq!(text(&etc, "group"), GROUP);
    assert_eq!(text(&etc, "gshadow"), GSHADOW);
}

#[test]
fn a_membership_that_was_there_before_stays_after_the_undo() {
    let (scratch, mut elevator) = host();
    let etc = scratch.paths().etc.clone();
    let before = GROUP.replace("docker:x:998:jane,joe", "docker:x:998:jane,ops,joe");
    std::fs::write(etc.join("group"), &before).unwrap();
    let planned = elevator.plan(session(), vec![unit("docker")]).unwrap();
    assert_eq!(planned[0].1, Delta::Group { group: false, gshadow: true });
    elevator.apply(&planned, &[]).unwrap();
    elevator.undo(held(planned));
    assert_eq!(text(&etc, "group"), before);
    assert_eq!(text(&etc, "gshadow"), GSHADOW);
}

#[test]
fn what_someone_else_changed_meanwhile_is_reported_and_left_alone() {
    let (scratch, mut elevator) = host();
    let etc = scratch.paths().etc.clone();
    let planned = elevator.plan(session(), vec![unit("docker"), unit("adm")]).unwrap();
    elevator.apply(&planned, &[]).unwrap();
    // An administrator takes ops out of docker and adds kim to adm.
    let changed = text(&etc, "group").replace("joe,ops", "joe").replace("jane,,ops", "jane,,ops,kim");
    std::fs::write(etc.join("group"), changed).unwrap();
    let gone = elevator.undo(held(planned));
    let found = gone[0].result.clone().unwrap().unwrap();
    assert!(found.contains("was no longer in `docker`"), "{found}");
    assert_eq!(gone[1].result, Ok(None));
    assert_eq!(text(&etc, "group"), GROUP.replace("jane,\n", "jane,,kim\n"));
}

#[test]
fn a_missing_account_or_group_is_named_and_an_existing_one_is_not_refused() {
    let (scratch, mut elevator) = host();
    let failure = elevator.plan(session(), vec![unit("nogroup")]).unwrap_err();
    assert!(failure.why.contains("the group `nogroup` does not exist"), "{failure}");
    let stranger = Unit::Group { account: "kim".parse().unwrap(), group: "docker".parse().unwrap() };
    let failure = elevator.plan(session(), vec![stranger]).unwrap_err();
    assert!(failure.why.contains("the account `kim` does not exist"), "{failure}");
    assert!(elevator.plan(session(), vec![unit("docker")]).is_ok());
    drop(scratch);
}

#[test]
fn the_files_keep_their_modes() {
    use std::os::unix::fs::PermissionsExt;
    let (scratch, mut elevator) = host();
    let gshadow = scratch.paths().etc.join("gshadow");
    std::fs::set_permissions(&gshadow, std::fs::Permissions::from_mode(0o640)).unwrap();
    let planned = elevator.plan(session(), vec![unit("docker")]).unwrap();
    elevator.apply(&planned, &[]).unwrap();
    assert_eq!(std::fs::metadata(&gshadow).unwrap().permissions().mode() & 0o7777, 0o640);
}

proptest! {
    #[test]
    fn adding_and_removing_a_member_restores_the_bytes(
        members in "[a-z,]{0,12}", before in "([a-z:]{0,9}\n){0,3}", after in "(\n[a-z:]{0,9}){0,3}"
    ) {
        let group: UnixGroupName = "docker".parse().unwrap();
        let account: AccountName = "ops-1".parse().unwrap();
        let content = format!("{before}docker:x:998:{members}{after}").into_bytes();
        let added = with_member(&content, &group, &account).unwrap();
        prop_assert!(lists(line_of(&added, &group).unwrap(), &account));
        prop_assert_eq!(without_member(&added, &group, &account), Some(content));
    }
}

#[test]
fn one_byte_that_is_no_text_keeps_nobody_out_and_stays() {
    let (passwd, shadow): (&[u8], &[u8]) = (
        b"m\xfcll:x:5:5:gr\xfcn:/:/bin/sh\nops:x:1000:1000:J\xfcrgen:/:/bin/sh\n",
        b"m\xfcll:*:1::::::\nops:*:1::::::\n",
    );
    let (group, gshadow): (&[u8], &[u8]) = (b"gr\xfcn:x:5:m\xfcll\nadm:x:4:m\xfcll\n", b"adm:*::m\xfcll\n");
    let scratch = Scratch::new();
    let files = [("passwd", passwd), ("shadow", shadow), ("group", group), ("gshadow", gshadow)];
    for (file, content) in files {
        std::fs::write(scratch.paths().etc.join(file), content).unwrap();
    }
    let mut elevator = crate::elevate::Elevator::new(scratch.paths().clone());
    let unit = Unit::Group { account: "ops".parse().unwrap(), group: "adm".parse().unwrap() };
    let fresh = elevator.plan(tidegate_common::id::SessionId::new(1, 1), vec![unit]).unwrap();
    elevator.apply(&fresh, &[]).unwrap();
    let now = std::fs::read(scratch.paths().etc.join("group")).unwrap();
    assert_eq!(now, b"gr\xfcn:x:5:m\xfcll\nadm:x:4:m\xfcll,ops\n");
    let held =
        |(unit, delta)| Held { unit, delta, applied: true, holders: Default::default(), left_by: None };
    assert!(elevator.undo(fresh.into_iter().map(held).collect()).iter().all(|gone| gone.result == Ok(None)));
    for (file, content) in files {
        assert_eq!(std::fs::read(scratch.paths().etc.join(file)).unwrap(), content, "{file}");
    }
}

#[test]
fn a_membership_that_another_program_writes_back_is_taken_away_again_unless_it_was_granted_anew() {
    let scratch = Scratch::new();
    let paths = scratch.paths();
    std::fs::write(paths.etc.join("passwd"), "ops:x:1000:1000::/:/bin/sh\n").unwrap();
    let (without, with) = ("adm:x:4:jane\nwheel:x:10:\n", "adm:x:4:jane,ops\nwheel:x:10:\n");
    let group = |content: &str| std::fs::write(paths.etc.join("group"), content).unwrap();
    let now = || std::fs::read_to_string(paths.etc.join("group")).unwrap();
    let unit = Unit::Group { account: "ops".parse().unwrap(), group: "adm".parse().unwrap() };
    let units = [(unit.clone(), Delta::Group { group: true, gshadow: false })];
    let mut elevator = crate::elevate::Elevator::new(paths.clone());
    group(without);
    assert_eq!(elevator.take_away_again(&units, &|_| false), []);
    group(with);
    assert_eq!(elevator.take_away_again(&units, &|_| true), []);
    assert_eq!(now(), with, "another session was given it meanwhile");
    // Not while a grant is planned, of which nobody has heard yet.
    let mut beside = elevator.beside();
    elevator.plan(session(), vec![self::unit("wheel")]).unwrap();
    let waited = beside.take_away_again(&units, &|_| false);
    assert!(matches!(waited.as_slice(), [(_, Err(_))]), "{waited:?}");
    assert_eq!(now(), with);
    elevator.let_go();
    assert_eq!(beside.take_away_again(&units, &|_| false), [(unit, Ok(()))]);
    assert_eq!(now(), without);
    // One that was there before any session stays.
    let never = [(units[0].0.clone(), Delta::Group { group: false, gshadow: false })];
    group(with);
    assert_eq!(elevator.take_away_again(&never, &|_| false), []);
    assert_eq!(now(), with);
}
