//! The host's own tools, on account files in a directory of the test's own.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::super::lock::AccountFiles;
use super::*;
use crate::test::Scratch;

const BEFORE: [(&str, &str); 4] = [
    // No line end, an odd spelling: what the tools would put in order.
    ("passwd", "root:x:0:0::/root:/bin/sh\n# ours\nops:x:1000:1000::/home/ops:/bin/sh"),
    ("shadow", "root:*:1::::::\nops:!:00019000:0:99999:7:::\n"),
    ("group", "root:x:0:\nadm:x:4:jane,\ndocker:x:998:"),
    ("gshadow", "root:*::\nadm:*::jane\n"),
];

fn host() -> Scratch {
    let scratch = Scratch::new();
    for (file, text) in BEFORE {
        std::fs::write(scratch.paths().etc.join(file), text).unwrap();
    }
    scratch
}

fn ops() -> AccountName {
    "ops".parse().unwrap()
}

fn text(etc: &Path, file: &str) -> String {
    std::fs::read_to_string(etc.join(file)).unwrap()
}

fn names(etc: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(etc).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Whether `program` did the work by itself: nothing of the content was told.
fn ran(tool: &Tool) -> Vec<(String, String)> {
    let scratch = host();
    let paths = scratch.paths();
    let accounts = AccountFiles::default();
    let lock = accounts.take(paths).unwrap();
    tool.run(paths, &lock, PATIENCE).unwrap();
    BEFORE
        .iter()
        .map(|(file, before)| ((*file).to_owned(), (*before).to_owned(), text(&paths.etc, file)))
        .filter(|(_, before, after)| before != after)
        .map(|(file, _, after)| (file, after))
        .collect()
}

#[test]
fn each_tool_changes_what_it_is_asked_to() {
    let changed = |tool: &Tool, file: &str| {
        let all = ran(tool);
        all.into_iter().find(|(changed, _)| changed == file).map(|(_, text)| text).unwrap_or_default()
    };
    let shell = Tool::shell(&ops(), "/bin/dash").unwrap();
    assert!(changed(&shell, "passwd").contains("ops:x:1000:1000::/home/ops:/bin/dash\n"));
    let expiry = Tool::expiry(&ops(), "20000").unwrap();
    assert!(changed(&expiry, "shadow").contains("ops:!:19000:0:99999:7::20000:\n"));
    let adm = "adm".parse().unwrap();
    let join = Tool::join(&ops(), &[&adm]).unwrap();
    assert!(changed(&join, "group").contains("adm:x:4:jane,ops\n"));
    assert!(changed(&join, "gshadow").contains("adm:*::jane,ops\n"));
    let delta = Delta::Created {
        uid: 59_000,
        gid: 59_000,
        gecos: "Tidegate session 1".to_owned(),
        home: "/home/tg-1".to_owned(),
        shell: "/bin/sh".to_owned(),
        expires: "20000".to_owned(),
        day: 0,
    };
    let create = Tool::create(&"tg-1".parse().unwrap(), &delta).unwrap();
    assert!(
        changed(&create, "passwd").ends_with("tg-1:x:59000:59000:Tidegate session 1:/home/tg-1:/bin/sh\n")
    );
    let shadow = changed(&create, "shadow");
    assert!(shadow.contains("tg-1:*:") && shadow.ends_with(":0:99999:7::20000:\n"), "{shadow}");
    assert!(changed(&create, "group").ends_with("tg-1:x:59000:\n"));
    assert!(!changed(&Tool::remove(&ops()), "passwd").contains("ops"));
}

#[test]
fn what_a_tool_would_take_for_something_else_it_is_not_asked() {
    assert!(Tool::join(&ops(), &[&"adm".parse().unwrap(), &"27".parse().unwrap()]).is_none());
    for day in ["never", "99999999999", "-99999999"] {
        assert!(Tool::expiry(&ops(), day).is_none(), "{day}");
    }
    assert!(Tool::expiry(&ops(), "").is_some());
}

#[test]
fn what_a_tool_does_beyond_its_task_is_put_right_and_backups_stay_the_administrators() {
    let scratch = host();
    let paths = scratch.paths();
    std::fs::write(paths.etc.join("passwd-"), "the administrator's").unwrap();
    let accounts = AccountFiles::default();
    let lock = accounts.take(paths).unwrap();
    let before = names(&paths.etc);
    let wanted = BEFORE[0].1.replace("home/ops:/bin/sh", "home/ops:/bin/dash").into_bytes();
    let shell = |shell: &str| [Tool::shell(&ops(), shell).unwrap()];
    make(paths, &lock, &shell("/bin/dash"), vec![("passwd", wanted.clone())]).unwrap();
    assert_eq!(std::fs::read(paths.etc.join("passwd")).unwrap(), wanted);
    take_back(paths, &lock, &shell("/bin/sh"), vec![("passwd", BEFORE[0].1.into())]).unwrap();
    for (file, text) in BEFORE {
        assert_eq!(self::text(&paths.etc, file), text, "{file}");
    }
    assert_eq!(text(&paths.etc, "passwd-"), "the administrator's");
    assert_eq!(names(&paths.etc), before);
}

#[test]
fn what_a_tool_refuses_is_said_and_taken_back_all_the_same() {
    let scratch = host();
    let paths = scratch.paths();
    let accounts = AccountFiles::default();
    let lock = accounts.take(paths).unwrap();
    let group = "no-such-group".parse().unwrap();
    let tools = [Tool::join(&ops(), &[&group]).unwrap()];
    let refused = make(paths, &lock, &tools, vec![("group", "changed\n".into())]).unwrap_err();
    assert!(refused.contains("usermod: group 'no-such-group' does not exist"), "{refused}");
    assert_eq!(text(&paths.etc, "group"), BEFORE[2].1);
    take_back(paths, &lock, &tools, vec![("group", "changed\n".into())]).unwrap();
    assert_eq!(text(&paths.etc, "group"), "changed\n");
}

#[test]
fn what_a_crash_left_of_a_tool_is_removed_and_nothing_else() {
    let scratch = host();
    let paths = scratch.paths();
    let before = names(&paths.etc);
    std::fs::write(paths.etc.join(".shadow-.tidegate"), "the administrator's").unwrap();
    for left in [
        "shadow-",
        "shadow+",
        "passwd.lock",
        "group.4194305",
        ".gshadow.tidegate",
        ".reserve.tidegate",
        ".room.tidegate",
        "subuid.lock",
    ] {
        // A number that no process has.
        std::fs::write(paths.etc.join(left), "4194305\0").unwrap();
    }
    let others = ["passwd.old", "shadow.", "group.d", "groups"];
    for other in others {
        std::fs::write(paths.etc.join(other), "theirs").unwrap();
    }
    clear(paths);
    assert_eq!(text(&paths.etc, "shadow-"), "the administrator's");
    let mut expected = before;
    expected.extend(others.map(str::to_owned));
    expected.push("shadow-".to_owned());
    expected.sort_unstable();
    assert_eq!(names(&paths.etc), expected);
}

#[test]
fn a_lock_file_of_somebody_else_is_named_waited_for_and_left_alone_and_the_undo_is_done_all_the_same() {
    let scratch = host();
    let paths = scratch.paths();
    let accounts = AccountFiles::default();
    let lock = accounts.take(paths).unwrap();
    let held = paths.etc.join("group.lock");
    let adm = "adm".parse().unwrap();
    let tools = [Tool::join(&ops(), &[&adm]).unwrap()];
    let with = BEFORE[2].1.replace("jane,", "jane,,ops").into_bytes();
    let own = std::process::id();
    for (content, said) in [
        (String::new(), "group.lock of no process that lives".to_owned()),
        ("4194305\n".to_owned(), "group.lock of no process that lives".to_owned()),
        ("theirs".to_owned(), "group.lock of no process that lives".to_owned()),
        (format!("{own}\0"), format!("group.lock of process {own} (")),
    ] {
        std::fs::write(&held, &content).unwrap();
        std::fs::write(paths.etc.join("group+"), "theirs").unwrap();
        let refused = make(paths, &lock, &tools, vec![("group", with.clone())]).unwrap_err();
        assert!(refused.contains(&said), "{refused}");
        assert_eq!(text(&paths.etc, "group"), BEFORE[2].1);
        clear(paths);
        assert_eq!(std::fs::read_to_string(&held).unwrap(), content);
        assert_eq!(text(&paths.etc, "group+"), "theirs");
        // Nothing outlives its session for it.
        take_back(paths, &lock, &tools, vec![("group", "changed\n".into())]).unwrap();
        assert_eq!(text(&paths.etc, "group"), "changed\n");
        assert_eq!(std::fs::read_to_string(&held).unwrap(), content);
        std::fs::write(paths.etc.join("group"), BEFORE[2].1).unwrap();
    }
    // It is gone before the patience is.
    std::fs::remove_file(paths.etc.join("group+")).unwrap();
    let looks = Inotify::init(InitFlags::empty()).unwrap();
    looks.add_watch(&held, AddWatchFlags::IN_OPEN).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It looks again, so it waits.
            let mut seen = 0;
            let mut ear = [PollFd::new(looks.as_fd(), PollFlags::POLLIN)];
            while seen < 2 && poll(&mut ear, PollTimeout::from(10_000u16)).unwrap() > 0 {
                seen += looks.read_events().unwrap().len();
            }
            std::fs::remove_file(&held).unwrap();
        });
        make(paths, &lock, &tools, vec![("group", with.clone())]).unwrap();
    });
    assert_eq!(std::fs::read(paths.etc.join("group")).unwrap(), with);
}
