//! Hosts as texts.

use super::*;
use crate::core::Held;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
    toor:x:0:0::/root2:/bin/sh\n\
    www:x:33:33::/var/www:/usr/sbin/nologin\n\
    jane:x:1000:1000::/home/jane:/bin/bash\n\
    ops:x:1001:1001::/home/ops:/bin/bash\n\
    open:x:1002:1002::/home/open:/bin/sh\n";
const SHADOW: &str = "root:*:1\ntoor:!:1\nwww:*:1\njane:$y$x:1\nops:*:1\nopen::1\n";
const GROUP: &str =
    "root:x:0:\nsudo:x:27:jane\nadm:x:4:www,ops\ndocker:x:998:ops\njane:x:1000:\nops:x:1001:\n";
const SUDOERS: &str = r#"{
    "User_Aliases": { "DBA": [ { "username": "ops" }, { "username": "jane", "negated": true } ] },
    "Command_Aliases": { "RESTART": [ { "command": "/usr/bin/systemctl restart pg" } ] },
    "User_Specs": [
        { "User_List": [ { "username": "root" } ], "Host_List": [],
          "Cmnd_Specs": [ { "runasusers": [ { "username": "ALL" } ], "Commands": [ { "command": "ALL" } ] } ] },
        { "User_List": [ { "usergroup": "sudo" } ], "Host_List": [],
          "Cmnd_Specs": [ { "runasusers": [ { "username": "ALL" } ], "Commands": [ { "command": "ALL" } ] } ] },
        { "User_List": [ { "useralias": "DBA" } ], "Host_List": [],
          "Cmnd_Specs": [ { "Options": [ { "authenticate": false } ], "Commands": [ { "cmndalias": "RESTART" } ] } ] },
        { "User_List": [ { "username": "ops" } ], "Host_List": [],
          "Cmnd_Specs": [ { "Options": [ { "notafter": "20300101000000Z" } ], "Commands": [ { "command": "/usr/bin/id" } ] } ] }
    ]
}"#;

const GRANTED: &str = r#"{ "User_Specs": [
    { "User_List": [ { "username": "ops" } ], "Host_List": [],
      "Cmnd_Specs": [ { "Options": [ { "notafter": "20300101000000Z" } ], "Commands": [ { "command": "/usr/bin/id" } ] } ] }
] }"#;

fn lines(ledger: &Ledger) -> Vec<String> {
    let accounts = Accounts::parse(PASSWD.as_bytes(), SHADOW.as_bytes(), GROUP.as_bytes());
    let rules = sudo::parse(SUDOERS.as_bytes()).unwrap();
    let granted = sudo::parse(GRANTED.as_bytes()).unwrap();
    let keys = |home: &Path| match home.to_str() {
        Some("/home/jane") => vec![("/home/jane/.ssh/authorized_keys".to_owned(), 2)],
        _ => Vec::new(),
    };
    let privileges = judge(&accounts, &rules, &granted, ledger, keys);
    Report { privileges, unseen: Vec::new() }
        .to_string()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn every_kind_of_standing_privilege_is_listed_once() {
    let lines = lines(&Ledger::default());
    for expected in [
        "toor uid 0 standing is root under another name /etc/passwd",
        "open no password standing needs no password /etc/shadow",
        "jane sudo standing ALL as ALL the rule for group sudo",
        "ops sudo standing /usr/bin/systemctl restart pg as root without a password its own rule",
        "ops sudo Tidegate /usr/bin/id as root its own rule",
        "ops group standing root, through a container group docker",
        "www group system reads the logs group adm",
        "jane keys standing 2 keys log in /home/jane/.ssh/authorized_keys",
    ] {
        assert_eq!(lines.iter().filter(|line| *line == expected).count(), 1, "{expected}: {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("root ")), "{lines:#?}");
}

#[test]
fn what_a_live_grant_gives_is_not_standing() {
    let standing = "ops group standing root, through a container group docker";
    let granted = "ops group Tidegate root, through a container group docker";
    assert!(lines(&Ledger::default()).contains(&standing.to_owned()));
    let unit = Unit::Group { account: "ops".parse().unwrap(), group: "docker".parse().unwrap() };
    let holders = BTreeSet::from([tidegate_common::id::SessionId::new(1, 1)]);
    let delta = Delta::Group { group: true, gshadow: true };
    let mut ledger = Ledger::default();
    ledger.held.push(Held { unit, delta, applied: true, holders, left_by: None });
    let lines = lines(&ledger);
    assert!(lines.contains(&granted.to_owned()) && !lines.contains(&standing.to_owned()), "{lines:#?}");
    assert!(lines.contains(&"2 belong to live sessions of Tidegate and end with them.".to_owned()));
}

#[test]
fn a_host_without_any_says_so() {
    let report = Report::default().to_string();
    assert!(report.starts_with("No account has a standing privilege"), "{report}");
}

/// A host below a scratch directory, with bytes that are no UTF-8 in every file.
#[test]
fn one_byte_that_is_no_text_hides_nothing() {
    let scratch = crate::test::Scratch::new();
    let etc = &scratch.paths().etc;
    let home = scratch.path().join("home");
    std::fs::create_dir_all(home.join(".ssh")).unwrap();
    std::fs::write(home.join(".ssh/authorized_keys"), b"ssh-ed25519 AAAA J\xfcrgen\n").unwrap();
    let passwd = format!("root:x:0:0::/root:/bin/sh\ntoor:x:0:0:gr\u{fc}n:{}:/bin/sh\n", home.display());
    let latin = |text: &str| text.chars().map(|letter| u8::try_from(letter).unwrap()).collect::<Vec<u8>>();
    std::fs::write(etc.join("passwd"), latin(&passwd)).unwrap();
    std::fs::write(etc.join("shadow"), latin("root:*:\ntoor::\nm\u{fc}ll:*:\n")).unwrap();
    std::fs::write(etc.join("group"), latin("sudo:x:27:m\u{fc}ll\ngr\u{fc}n:x:28:\n")).unwrap();
    let sudoers = etc.join("sudoers");
    std::fs::write(&sudoers, latin("# gr\u{fc}n\nm\u{fc}ll ALL=(ALL) ALL\n")).unwrap();
    let report = of_host(scratch.paths());
    assert_eq!(report.unseen, [""; 0]);
    let found =
        |account: &str, kind| report.privileges.iter().any(|one| one.account == account && one.kind == kind);
    assert!(found("toor", Kind::Uid0) && found("toor", Kind::NoPassword), "{report}");
    assert!(found("toor", Kind::Keys), "{report}");
    assert!(found("m\\xfcll", Kind::Group) && found("m\\xfcll", Kind::Sudo), "{report}");
}

#[test]
fn what_cannot_be_read_is_named_and_no_all_clear() {
    let scratch = crate::test::Scratch::new();
    let etc = &scratch.paths().etc;
    let shown = of_host(scratch.paths()).to_string();
    assert!(shown.contains("not all of the host could be looked at"), "{shown}");
    for file in ["passwd", "shadow", "group"] {
        assert!(shown.contains(&format!("Not looked at: {}", etc.join(file).display())), "{shown}");
        std::fs::write(etc.join(file), "").unwrap();
    }
    assert!(of_host(scratch.paths()).to_string().contains("No account has a standing privilege"));
    std::fs::write(etc.join("passwd"), "ops:x:-0:0::/:/bin/sh\n+::::::\n").unwrap();
    let report = of_host(scratch.paths());
    assert_eq!(report.unseen.len(), 2, "{report}");
    std::fs::write(etc.join("passwd"), "").unwrap();
    std::fs::write(etc.join("sudoers"), "this is no rule\n").unwrap();
    let report = of_host(scratch.paths()).to_string();
    assert!(report.contains("not all of the host"), "{report}");
}
