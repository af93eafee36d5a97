//! What the agent itself put into the home of an account that it made is no session's doing,
//! as long as it is what /etc/skel has.

use std::path::Path;

use super::files::{Camera, path_shown};
use super::snapshot::{Item, Key};

/// What new homes are made of.
const SKELETON: &str = "/etc/skel";

/// Takes out of a picture what is in a home as it was copied. A link stays, and is told of.
pub fn leave_out(camera: &mut Camera<'_>, home: &Path, owner: (u32, u32)) {
    let Some(home) = camera.real(home) else { return };
    let start = path_shown(&home) + "/";
    let inside = |what: &str| what.strip_prefix(&start).map(|rest| Path::new(SKELETON).join(rest));
    let same = |(key, item): (&Key, &Item)| {
        let copied = inside(&key.what).is_some_and(|from| camera.is_copy(&item.mark, &from, owner));
        copied.then(|| key.clone())
    };
    let gone: Vec<Key> = camera.now.items.iter().filter_map(same).collect();
    gone.iter().for_each(|key| drop(camera.now.items.remove(key)));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use crate::core::{Delta, Held, Ledger, Unit};
    use crate::residue::changes::gather::{Grants, View};
    use crate::residue::changes::snapshot::{Mark, Snapshot};
    use crate::test::Scratch;

    #[test]
    fn a_new_home_is_no_finding_and_what_a_session_did_to_it_is() {
        let scratch = Scratch::new();
        let root = scratch.path();
        let write = |path: &str, content: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        write("etc/passwd", &format!("tg-1:x:{uid}:{gid}::/home/tg-1:/bin/sh\n"));
        write("etc/shadow", "tg-1:*:1::::::\n");
        write("etc/group", "");
        for place in ["etc/skel", "home/tg-1"] {
            write(&format!("{place}/.profile"), "umask 022\n");
            write(&format!("{place}/.bashrc"), "umask 022\n");
            write(&format!("{place}/.bash_logout"), "clear\n");
            write(&format!("{place}/.config/environment.d/a.conf"), "A=1\n");
        }
        let account: tidegate_common::name::AccountName = "tg-1".parse().unwrap();
        let session = tidegate_common::id::SessionId::new(1, 1);
        let unit = Unit::Created { account, session, shell: None, expires: None };
        let delta = Delta::Created {
            uid,
            gid,
            gecos: String::new(),
            home: "/home/tg-1".to_owned(),
            shell: "/bin/sh".to_owned(),
            expires: String::new(),
            day: 0,
        };
        let held = Held { unit, delta, applied: true, holders: [session].into(), left_by: None };
        let found = |held: &[Held]| {
            let ledger = Ledger { held: held.to_vec(), ..Ledger::default() };
            let view = View::of(scratch.paths(), Grants::new(ledger), crate::elevate::without);
            let now = view.take(&Snapshot::default()).unwrap();
            let files = now.items.iter().filter(|(_, item)| matches!(item.mark, Mark::File { .. }));
            let home = files.map(|(key, _)| key.what.clone()).filter(|what| what.starts_with("/home/"));
            home.collect::<Vec<_>>()
        };
        assert_eq!(found(&[]).len(), 4, "of an account that nobody granted all is told");
        let held = [held];
        assert_eq!(found(&held), [""; 0]);

        write("home/tg-1/.profile", "umask 022\nid\n");
        let readable = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(root.join("home/tg-1/.bashrc"), readable).unwrap();
        write("home/tg-1/.config/environment.d/b.conf", "A=1\n");
        std::fs::remove_file(root.join("home/tg-1/.bash_logout")).unwrap();
        symlink("../../etc/skel/.bash_logout", root.join("home/tg-1/.bash_logout")).unwrap();
        let mut told = found(&held);
        told.sort();
        let expected = [".bash_logout", ".bashrc", ".config/environment.d/b.conf", ".profile"];
        assert_eq!(told, expected.map(|name| format!("/home/tg-1/{name}")));
    }
}
