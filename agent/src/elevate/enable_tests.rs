//! Locks, expiry and shells, against account files in a directory of the test's own.

use super::*;
use crate::core::{Held, Unit};
use crate::elevate::Elevator;
use crate::paths::Paths;
use crate::test::Scratch;
use tidegate_common::id::SessionId;

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nops:x:1000:1000:O. Ps,,:/home/ops:/usr/sbin/nologin\n";
const SHADOW: &str = "root:*:1:0:99999:7:::\nops:!$y$secret:19000:0:99999:7::1:\nkim:x:1::::::\n";

fn host(shadow: &str) -> (Scratch, Elevator) {
    let scratch = Scratch::new();
    std::fs::write(scratch.paths().etc.join("passwd"), PASSWD).unwrap();
    std::fs::write(scratch.paths().etc.join("shadow"), shadow).unwrap();
    let elevator = Elevator::new(scratch.paths().clone());
    (scratch, elevator)
}

fn both() -> Vec<Unit> {
    let shell = Shell::try_from("/bin/sh".to_owned()).unwrap();
    let account: AccountName = "ops".parse().unwrap();
    vec![Unit::Enabled { account: account.clone() }, Unit::Shell { account, shell }]
}

fn text(paths: &Paths, file: &str) -> String {
    std::fs::read_to_string(paths.etc.join(file)).unwrap()
}

fn granted(elevator: &mut Elevator) -> Vec<Held> {
    let fresh = elevator.plan(SessionId::new(1, 1), both()).unwrap();
    elevator.apply(&fresh, &[]).unwrap();
    let held =
        |(unit, delta)| Held { unit, delta, applied: true, holders: Default::default(), left_by: None };
    fresh.into_iter().map(held).collect()
}

#[test]
fn a_locked_and_expired_account_is_made_usable_and_put_back_to_the_byte() {
    let (scratch, mut elevator) = host(SHADOW);
    let held = granted(&mut elevator);
    let journal = serde_json::to_string(&held).unwrap();
    assert!(!journal.contains("secret"), "{journal}");
    assert!(text(scratch.paths(), "shadow").contains("ops:*$y$secret:19000:0:99999:7:::\n"));
    assert!(text(scratch.paths(), "passwd").ends_with("O. Ps,,:/home/ops:/bin/sh\n"));
    for gone in elevator.undo(held) {
        assert_eq!(gone.result, Ok(None));
    }
    assert_eq!(text(scratch.paths(), "shadow"), SHADOW);
    assert_eq!(text(scratch.paths(), "passwd"), PASSWD);
}

#[test]
fn an_account_that_is_usable_is_left_as_it_is() {
    let (scratch, mut elevator) = host("ops:$y$secret:19000:0:99999:7:::\n");
    let fresh = elevator.plan(SessionId::new(1, 1), both()).unwrap();
    assert!(fresh[0].1.is_nothing() && !fresh[1].1.is_nothing(), "{fresh:?}");
    elevator.apply(&fresh, &[]).unwrap();
    assert_eq!(text(scratch.paths(), "shadow"), "ops:$y$secret:19000:0:99999:7:::\n");
}

#[test]
fn a_password_that_someone_set_meanwhile_is_reported_and_left_and_the_rest_is_put_back() {
    let (scratch, mut elevator) = host(SHADOW);
    let held = granted(&mut elevator);
    let changed = text(scratch.paths(), "shadow").replace("ops:*$y$secret:19000", "ops:$y$new:20000");
    std::fs::write(scratch.paths().etc.join("shadow"), changed).unwrap();
    let gone = elevator.undo(held);
    let drift = gone[0].result.clone().unwrap().unwrap();
    assert!(drift.contains("changed the password of `ops`"), "{drift}");
    assert_eq!(gone[1].result, Ok(None));
    assert!(text(scratch.paths(), "shadow").contains("ops:$y$new:20000:0:99999:7::1:\n"));
    assert_eq!(text(scratch.paths(), "passwd"), PASSWD);
}

#[test]
fn a_shell_that_is_no_text_could_not_be_put_back_and_is_refused_and_the_rest_is_enabled() {
    let (scratch, mut elevator) = host(SHADOW);
    let path = scratch.paths().etc.join("passwd");
    let passwd = |shell: &[u8]| [b"ops:x:1000:1000:J\xfcrgen:/home/ops:", shell, b"\n"].concat();
    std::fs::write(&path, passwd(b"/opt/gr\xfcn/nologin")).unwrap();
    let why = elevator.plan(SessionId::new(1, 1), both()).unwrap_err().why;
    assert!(why.contains("/opt/gr\\xfcn/nologin, is not UTF-8"), "{why}");
    std::fs::write(&path, passwd(b"/usr/sbin/nologin")).unwrap();
    let held = granted(&mut elevator);
    assert_eq!(std::fs::read(&path).unwrap(), passwd(b"/bin/sh"));
    assert!(elevator.undo(held).iter().all(|gone| gone.result == Ok(None)));
    assert_eq!(std::fs::read(&path).unwrap(), passwd(b"/usr/sbin/nologin"));
    assert_eq!(text(scratch.paths(), "shadow"), SHADOW);
}
