//! What an account file would be without what the agent has put there: the undo of its
//! grants, on bytes. Whoever compares a host with what it was before a session leaves out what was
//! granted by this, and no more: a granted account whose user id or password
//! was changed, or a membership that was given a second time, shows.

use super::{create, enable, groups};
use crate::core::{Delta, Unit};

/// The file (`passwd`, `shadow`, `group`, `gshadow`) without these grants.
#[must_use]
pub fn without(granted: &[(Unit, Delta)], file: &str, mut content: Vec<u8>) -> Vec<u8> {
    for (unit, delta) in granted {
        let changed = match (unit, delta) {
            (Unit::Group { account, group }, Delta::Group { group: in_group, gshadow }) => {
                let here = (file == "group" && *in_group) || (file == "gshadow" && *gshadow);
                if here { groups::without_member(&content, group, account) } else { None }
            }
            (Unit::Enabled { account } | Unit::Shell { account, .. }, _) => {
                enable::without(file, &content, account, delta)
            }
            (Unit::Created { account, .. }, _) => create::without(file, &content, account, delta),
            _ => None,
        };
        content = changed.unwrap_or(content);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Lifted, Swap};
    use tidegate_common::name::AccountName;

    fn account(name: &str) -> AccountName {
        name.parse().unwrap()
    }

    fn enabled() -> [(Unit, Delta); 2] {
        let expires = Some(Swap { before: "1".to_owned(), after: String::new() });
        let shell = Some(Swap { before: "/usr/sbin/nologin".to_owned(), after: "/bin/sh".to_owned() });
        let (ops, sh) =
            (account("ops"), tidegate_common::grant::Shell::try_from("/bin/sh".to_owned()).unwrap());
        [
            (
                Unit::Enabled { account: ops.clone() },
                Delta::Enabled { password: Some(Lifted { marks: 1 }), expires },
            ),
            (Unit::Shell { account: ops, shell: sh }, Delta::Shell { shell }),
        ]
    }

    #[test]
    fn what_was_granted_is_left_out_and_what_somebody_did_with_it_is_not() {
        let cases: [(&str, &str, &str); 6] = [
            ("shadow", "ops:*$y$x:1:::::\u{ff}:", "ops:!$y$x:1:::::\u{ff}:"),
            ("shadow", "ops:*$y$x:1::::::\n", "ops:!$y$x:1:::::1:\n"),
            // A password of the session's own.
            ("shadow", "ops:$y$new:1::::::\n", "ops:$y$new:1:::::1:\n"),
            ("passwd", "ops:x:5:5:J\u{ff}:/:/bin/sh\n", "ops:x:5:5:J\u{ff}:/:/usr/sbin/nologin\n"),
            // Root by now, with another shell.
            ("passwd", "ops:x:0:5::/:/bin/bash\n", "ops:x:0:5::/:/bin/bash\n"),
            ("group", "ops:x:5:\n", "ops:x:5:\n"),
        ];
        let bytes =
            |text: &str| text.chars().map(|letter| u8::try_from(letter).unwrap()).collect::<Vec<u8>>();
        for (file, now, before) in cases {
            assert_eq!(without(&enabled(), file, bytes(now)), bytes(before), "{file}: {now}");
        }
    }

    #[test]
    fn a_membership_that_was_given_twice_is_left_out_once() {
        let unit = Unit::Group { account: account("ops"), group: "adm".parse().unwrap() };
        let granted = [(unit, Delta::Group { group: true, gshadow: false })];
        assert_eq!(without(&granted, "group", b"adm:x:4:jane,ops\n".to_vec()), b"adm:x:4:jane\n");
        assert_eq!(without(&granted, "group", b"adm:x:4:ops,jane,ops\n".to_vec()), b"adm:x:4:ops,jane\n");
        assert_eq!(without(&granted, "gshadow", b"adm:*::ops\n".to_vec()), b"adm:*::ops\n");
    }

    #[test]
    fn a_created_account_is_left_out_as_long_as_it_is_as_it_was_made() {
        let session = tidegate_common::id::SessionId::new(1, 1);
        let delta = Delta::Created {
            uid: 59_000,
            gid: 59_000,
            gecos: "Tidegate session x".to_owned(),
            home: "/home/tg-x".to_owned(),
            shell: "/bin/sh".to_owned(),
            expires: "30000".to_owned(),
            day: 20_000,
        };
        let unit = Unit::Created { account: account("tg-x"), session, shell: None, expires: None };
        let granted = [(unit, delta)];
        for (file, line) in [
            ("passwd", "tg-x:x:59000:59000:Tidegate session x:/home/tg-x:/bin/sh"),
            ("shadow", "tg-x:*:20000:0:99999:7::30000:"),
            ("shadow", "tg-x:*:20000:0:99999:7::1:"),
            ("group", "tg-x:x:59000:"),
            ("gshadow", "tg-x:!::"),
        ] {
            let now = format!("a:b\n{line}\n").into_bytes();
            assert_eq!(without(&granted, file, now), b"a:b\n", "{line}");
        }
        for (file, line) in [
            ("passwd", "tg-x:x:0:59000:Tidegate session x:/home/tg-x:/bin/sh"),
            ("shadow", "tg-x:$y$own:20000:0:99999:7::30000:"),
            ("group", "tg-x:x:0:"),
            ("group", "tg-x:x:59000:mallory"),
            ("gshadow", "tg-x:!:mallory:"),
        ] {
            let now = format!("a:b\n{line}\n").into_bytes();
            assert_eq!(without(&granted, file, now.clone()), now, "{line}");
        }
    }
}
