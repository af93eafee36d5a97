use super::*;

/// `jane` is made with the group `field`, and `operator` is a user.
fn world() -> Snapshot {
    let text = format!(
        "[[user]]\nname = \"operator\"\nemail = \"o@example.org\"\n[[device]]\nname = \"db01\"\n\
         [[credential]]\nname = \"ops@db01\"\n[[access_group]]\nname = \"dba\"\nusers = [\"operator\", \"jane\"]\n\
         criteria = {{ {ALL} }}\nsession = {{}}\n[[user_group]]\nname = \"field\"\nusers = [\"operator\"]\n\
         limited_users = [{{ name = \"jane\", email = \"j@example.com\" }}]\n[[user_group]]\nname = \"other\"\n"
    );
    Snapshot::new(&Resources::read(&text).unwrap()).unwrap()
}

fn of(user: &str, access: RemoteAccess) -> RemoteAccess {
    RemoteAccess { user: user.parse().unwrap(), ..access }
}

#[test]
fn a_limited_user_enters_from_outside_and_by_a_limited_access_only() {
    let (snapshot, ask) = (world(), ask("ops@db01").by("jane"));
    let by = |access: RemoteAccess| come(&snapshot, &located("PT"), &[of("jane", access)], &ask, false);
    let entered = permit(by(limited("ops@db01", None)));
    assert_eq!((entered.remote_access(), entered.expires()), (Some(RemoteAccessId(5)), Some(after(60))));
    let full_one = refused(by(full())).to_string();
    assert_eq!(
        full_one,
        "you come from outside, and remote access 5 is full, by which a limited user does not enter"
    );
    let other = RemoteAccess { group: "other".parse().unwrap(), ..limited("ops@db01", None) };
    assert!(refused(by(other)).to_string().contains("user group `other` no longer lets you in"));
    // The twins: the user by a full one, and who comes from inside.
    let user = super::ask("ops@db01");
    let _ = permit(come(&snapshot, &located("PT"), &[full()], &user, false));
    let inside = |ask: &Ask| {
        let coming = Coming { side: Side::Inside, accesses: &[] };
        ask.facts(|facts| decide(&snapshot, &Facts { coming, ..*facts }))
    };
    let _ = permit(inside(&user));
    assert_eq!(
        refused(inside(&ask)).to_string(),
        "you come from inside, and a limited user enters from outside only"
    );
}

#[test]
fn no_certificate_logs_a_limited_user_in() {
    let (snapshot, located) = (world(), located("PT"));
    let accesses = ["operator", "jane"].map(|name| Arc::new(of(name, limited("ops@db01", None))));
    let side = Side::Outside(Outside { address: ADDRESS, located: &located, report_only: false });
    let coming = Coming { side, accesses: &accesses };
    let shown = |name: &str, login: Login| {
        let proved = Proved { user: name.parse().unwrap(), login: login.into(), origin: ADDRESS };
        proves(&snapshot, &proved, &coming, noon())
    };
    let certificate = |name: &str| Login::Certificate { principals: vec![name.to_owned()], until: None };
    assert_eq!(shown("jane", certificate("jane")), Err(EndReason::Login(LoginGone::Principal)));
    assert_eq!(shown("operator", certificate("operator")), Ok(()));
    assert_eq!(shown("jane", Login::Code { access: RemoteAccessId(5), until: after(60) }), Ok(()));
}

#[test]
fn what_is_explained_of_a_limited_user_says_so_first() {
    let explained = ask("ops@db01").by("jane").explained(&world());
    let first = explained.steps.first().unwrap();
    let said = "user `jane` is limited, with the group field, and enters from outside only";
    assert_eq!((first.holds, first.said.as_str()), (true, said));
}
