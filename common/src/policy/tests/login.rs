use std::sync::Arc;

use super::*;
use crate::model::PublicKey;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn text(users: &str) -> String {
    format!(
        "{users}\n[[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n[[access_group]]\nname = \"dba\"\n\
         users = [\"operator\"]\ncriteria = {{ devices = [\"*\"] }}\nsession = {{}}\n"
    )
}

fn with(user: &str) -> Snapshot {
    let text = text(&format!("[[user]]\nname = \"operator\"\n{user}\n"));
    Snapshot::new(&Resources::read(&text).unwrap()).unwrap()
}

fn key() -> Arc<Login> {
    Arc::new(Login::Key(format!("{KEY} as-the-client-has-it").parse::<PublicKey>().unwrap()))
}

fn certificate(principal: &str, until: Option<Timestamp>) -> Arc<Login> {
    Arc::new(Login::Certificate { principals: vec!["others".to_owned(), principal.to_owned()], until })
}

fn decided(snapshot: &Snapshot, login: &Arc<Login>) -> Decision {
    let (login, origin) = (Some(login), Some(HERE));
    ask("ops@db01").facts(|facts| decide(snapshot, &Facts { login, origin, ..*facts }))
}

/// Why a permit that was given `before` ends `after`, and a connection of the same log-in.
fn ends(before: &Snapshot, login: &Arc<Login>, after: &Snapshot, now: Timestamp) -> Option<EndReason> {
    let permit = permit(decided(before, login));
    let proved = Proved { user: "operator".parse().unwrap(), login: Arc::clone(login), origin: HERE };
    assert_eq!(still_in(before, &proved, &Coming::ASKED, noon()), Ok(login.until()));
    let ended = recheck(after, &permit, now, Coming::ASKED, &[], &[]).err();
    assert_eq!(ended, still_in(after, &proved, &Coming::ASKED, now).err());
    ended
}

#[test]
fn a_session_ends_with_the_key_that_it_began_with() {
    let keyed = with(&format!("keys = [\"{KEY} comment\"]"));
    let gone = Some(EndReason::Login(LoginGone::Key));
    assert_eq!(ends(&keyed, &key(), &with(""), noon()), gone);
    assert_eq!(ends(&keyed, &key(), &with(&format!("keys = [\"{KEY} renamed\"]")), noon()), None);
    let said = refused(decided(&with(""), &key())).to_string();
    assert_eq!(said, "the key that you logged in with is no longer yours; connect again");
}

#[test]
fn a_session_ends_with_the_certificate_that_it_began_with() {
    let (plain, other) = (with(""), with("principals = [\"olga\"]"));
    let named = certificate("operator", Some(after(30)));
    assert_eq!(permit(decided(&plain, &named)).expires(), Some(after(30)));
    assert_eq!(ends(&plain, &named, &plain, after(29)), None);
    assert_eq!(ends(&plain, &named, &plain, after(30)), Some(EndReason::Login(LoginGone::Expired)));
    assert_eq!(ends(&plain, &named, &other, noon()), Some(EndReason::Login(LoginGone::Principal)));
    assert_eq!(ends(&other, &certificate("olga", None), &other, after(30)), None);
    let off = with("enabled = false");
    assert_eq!(ends(&plain, &named, &off, noon()), Some(EndReason::UserDisabled));
}

#[test]
fn what_two_users_have_logs_neither_of_them_in() {
    let mut shared =
        Resources::read(&text(&format!("[[user]]\nname = \"operator\"\nkeys = [\"{KEY} a\"]\n"))).unwrap();
    let second =
        format!("[[user]]\nname = \"second\"\nkeys = [\"{KEY} b\"]\nprincipals = [\"operator\", \"b\"]\n");
    shared.users.extend(Resources::read(&second).unwrap().users);
    let shared = Snapshot::new(&shared).unwrap();
    let proved = |user: &str, login: Arc<Login>| Proved { user: user.parse().unwrap(), login, origin: HERE };
    for user in ["operator", "second"] {
        let why = still_in(&shared, &proved(user, key()), &Coming::ASKED, noon());
        assert_eq!(why, Err(EndReason::Login(LoginGone::SharedKey)), "{user}");
        let why = still_in(&shared, &proved(user, certificate("operator", None)), &Coming::ASKED, noon());
        assert_eq!(why, Err(EndReason::Login(LoginGone::SharedPrincipal)), "{user}");
    }
    assert_eq!(
        still_in(&shared, &proved("second", certificate("b", None)), &Coming::ASKED, noon()),
        Ok(None)
    );
}
