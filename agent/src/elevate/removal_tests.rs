//! Trees of every shape, removed as a whole or as far as they are one user's.

use std::fs::{create_dir_all, write};
use std::os::unix::fs::{chown, symlink};
use std::time::Duration;

use nix::sys::stat::mkdirat;

use super::level::MOST_WAITING;
use super::*;
use crate::test::Scratch;

/// A user id that no process of the machine has.
const UID: u32 = 58_999;

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn removed(top: &Path, goes: Goes) -> Removal {
    let mut removal = Removal::of(top, goes).unwrap().unwrap();
    assert_eq!(removal.go_on(later()), Ok(true));
    removal
}

/// Directories in each other, far deeper than a path may be long.
fn nested(top: &Path, depth: usize) {
    let mut at = open(top, directory(), Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&at, c"d", Mode::S_IRWXU).unwrap();
        at = openat(&at, c"d", directory(), Mode::empty()).unwrap();
        openat(&at, c"f", OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_WRONLY, Mode::S_IRWXU).unwrap();
    }
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIPPED: giving files away, marking and mounting them needs root");
    }
    root
}

#[test]
fn a_tree_of_any_depth_and_width_goes_and_what_its_links_show_stays() {
    let scratch = Scratch::new();
    let (top, other) = (scratch.path().join("top"), scratch.path().join("other"));
    create_dir_all(top.join("wide")).unwrap();
    create_dir_all(&other).unwrap();
    write(other.join("stays"), "").unwrap();
    symlink(&other, top.join("link")).unwrap();
    nested(&top, 5000);
    (0..MOST_WAITING * 2).for_each(|number| create_dir_all(top.join(format!("wide/{number}"))).unwrap());
    removed(&top, Goes::All);
    assert!(!top.exists() && other.join("stays").exists());
    assert!(Removal::of(&top, Goes::All).unwrap().is_none());
    symlink(&other, &top).unwrap();
    assert!(Removal::of(&top, Goes::All).is_err(), "a link in its place");
}

#[test]
fn a_removal_goes_on_where_it_stopped() {
    let scratch = Scratch::new();
    let top = scratch.path().join("top");
    create_dir_all(&top).unwrap();
    nested(&top, 300);
    let mut removal = Removal::of(&top, Goes::All).unwrap().unwrap();
    let mut times = 0;
    while !removal.go_on(Instant::now() + Duration::from_micros(200)).unwrap() {
        times += 1;
        assert!(times < 100_000);
    }
    assert!(times > 0 && !top.exists());
}

#[test]
fn of_a_shared_place_what_is_the_users_goes_and_nothing_else() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let top = scratch.path().join("tmp");
    create_dir_all(top.join("theirs/deep/er")).unwrap();
    create_dir_all(top.join("mine/in")).unwrap();
    for file in ["theirs/file", "theirs/deep/mine", "theirs/deep/er/file", "mine/in/of-root", "mine-too"] {
        write(top.join(file), "").unwrap();
    }
    nested(&top.join("mine/in"), 400);
    for mine in ["mine", "mine-too", "theirs/deep/mine"] {
        chown(top.join(mine), Some(UID), None).unwrap();
    }
    let removal = removed(&top, Goes::OwnedBy(UID));
    assert_eq!(removal.unseen().count(), 0);
    assert!(!top.join("mine").exists() && !top.join("mine-too").exists());
    assert!(!top.join("theirs/deep/mine").exists());
    assert!(top.join("theirs/file").exists() && top.join("theirs/deep/er/file").exists());
}

#[test]
fn somebody_elses_depths_keep_nothing_from_going_and_are_told() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let top = scratch.path().join("tmp");
    create_dir_all(top.join("theirs")).unwrap();
    nested(&top.join("theirs"), DEEPEST * 2);
    write(top.join("mine"), "").unwrap();
    chown(top.join("mine"), Some(UID), None).unwrap();
    let removal = removed(&top, Goes::OwnedBy(UID));
    assert!(removal.unseen().any(|what| what.ends_with("too deep")), "{removal:?}");
    assert!(!top.join("mine").exists() && top.join("theirs/d").exists());
}

/// The file system below the tests' directory keeps the marks of chattr(1).
fn marks(path: &Path) -> bool {
    let marked = std::process::Command::new("chattr").arg("+i").arg(path).status().unwrap().success();
    if !marked {
        println!("SKIPPED: this file system knows no immutable files");
    }
    marked
}

#[test]
fn what_was_made_immutable_goes_too() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let top = scratch.path().join("top");
    create_dir_all(top.join("in")).unwrap();
    for file in ["file", "in/file"] {
        write(top.join(file), "").unwrap();
    }
    if ["file", "in", "in/file"].iter().all(|path| marks(&top.join(path))) {
        removed(&top, Goes::All);
        assert!(!top.exists());
    }
}

#[test]
fn what_is_mounted_in_a_tree_is_not_entered_and_the_rest_goes() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let (top, other) = (scratch.path().join("top"), scratch.path().join("other"));
    for directory in [top.join("mounted"), top.join("z/in"), other.clone()] {
        create_dir_all(directory).unwrap();
    }
    write(other.join("stays"), "").unwrap();
    let mount =
        |words: &[&std::ffi::OsStr]| std::process::Command::new("mount").args(words).status().unwrap();
    // The same file system: its number does not tell them apart.
    let bound = mount(&["--bind".as_ref(), other.as_ref(), top.join("mounted").as_ref()]);
    if !bound.success() {
        println!("SKIPPED: nothing can be mounted here");
        return;
    }
    let error = Removal::of(&top, Goes::All).unwrap().unwrap().go_on(later()).unwrap_err();
    let untouched = other.join("stays").exists();
    let rest = top.join("z").exists();
    std::process::Command::new("umount").arg(top.join("mounted")).status().unwrap();
    assert!(untouched && !rest, "{error}");
    assert_eq!(error.at, top.join("mounted"));
    assert!(error.to_string().contains("something is mounted there"), "{error}");
    removed(&top, Goes::All);
    assert!(!top.exists());
}
