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
    let accounts = Accounts::parse(PASSWD, SHADOW, GROUP);
    let rules = sudo::parse(SUDOERS).unwrap();
    let granted = sudo::parse(GRANTED).unwrap();
    let keys = |home: &str| match home {
        "/home/jane" => vec![(format!("{home}/.ssh/authorized_keys"), 2)],
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
