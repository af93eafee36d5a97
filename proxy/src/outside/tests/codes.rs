use tidegate_common::model::PublicKey;
use tidegate_common::notice::Channel;
use tidegate_common::policy::EndReason;

use super::*;
use crate::outside::CodeError;

const SECOND: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA";
const OUTSIDE: &str = "203.0.113.9";

impl World {
    /// Sends a code for an access, and gives it as it was sent. While it waits it is sealed, as this one's.
    pub(super) async fn code(&self, id: RemoteAccessId) -> String {
        self.remote_accesses.forward(id, Channel::Mail, &by("boss")).await.unwrap();
        let now = Timestamp::now();
        let until = now + jiff::SignedDuration::from_hours(1);
        let claimed = self.store.notifications_claim(Channel::Mail, 100, now, until).await.unwrap();
        let kept = claimed.rows.last().and_then(|claimed| claimed.secret.clone()).unwrap();
        assert!(kept.reveal().starts_with("sealed:1:"), "a code waits in the clear");
        let vault = &self.vault;
        assert!(vault.open_waiting("remote access 999", &kept).await.is_err(), "another's");
        vault.open_waiting(&format!("remote access {id}"), &kept).await.unwrap().reveal().to_owned()
    }

    pub(super) async fn redeem(&self, name: &str, code: &str) -> Result<Proved, CodeError> {
        self.remote_accesses.redeem(&user(name), code, OUTSIDE.parse().unwrap()).await
    }
}

fn why<T: std::fmt::Debug>(done: Result<T, CodeError>) -> String {
    done.unwrap_err().to_string()
}

async fn a_code_lets_its_user_in_once_however_it_is_typed_and_nobody_else() {
    let world = world(&[], 1).await;
    let id = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap()[0].id;
    let code = world.code(id).await;
    assert_eq!(code.len(), 31, "26 letters in groups of five");
    let wrong = "that is no code of yours; copy it as it was sent to you";
    assert_eq!(why(world.redeem("adam", &code).await), wrong, "forwarded to another user");
    assert_eq!(why(world.redeem("olga", "00000-00000-00000-00000-00000-0").await), wrong, "guessed");
    assert_eq!(why(world.redeem("olga", "").await), wrong);
    let typed = code.replace('-', " ").to_uppercase();
    let proved = world.redeem("olga", &typed).await.unwrap();
    assert_eq!(world.access.still_in(&proved), Ok(()));
    let used = "that code was used already; ask an administrator to send another";
    assert_eq!(why(world.redeem("olga", &code).await), used);
    // It ends with its access.
    world.remote_accesses.cancel(id, &by("boss"), None).await.unwrap();
    assert!(matches!(world.access.still_in(&proved), Err(EndReason::Login(_))));
}

async fn a_code_is_good_no_more_when_it_has_expired_was_sent_again_or_was_taken_back() {
    let world = world(&[], 1).await;
    let id = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap()[0].id;
    let first = world.code(id).await;
    let second = world.code(id).await;
    assert!(matches!(world.redeem("olga", &first).await, Err(CodeError::Wrong)), "another was sent since");
    world.remote_accesses.revoke_code(id, &by("boss")).await.unwrap();
    assert!(matches!(world.redeem("olga", &second).await, Err(CodeError::Wrong)));
    let third = world.code(id).await;
    world.remote_accesses.cancel(id, &by("boss"), None).await.unwrap();
    assert!(matches!(world.redeem("olga", &third).await, Err(CodeError::Wrong)), "its access was cancelled");
    let told = world.remote_accesses.forward(id, Channel::Mail, &by("boss")).await.unwrap_err().to_string();
    assert_eq!(told, "remote access 1 is cancelled already");
    let late = world.remote_accesses.create(&new(Some("adam")), &by("boss")).await.unwrap()[0].id;
    let told = world.remote_accesses.forward(late, Channel::Sms, &by("boss")).await.unwrap_err().to_string();
    assert!(told.starts_with("user `adam` cannot be reached by sms"), "{told}");
    let old = Secret::new("0".repeat(26));
    let (now, gone) = (moment(), moment() - jiff::SignedDuration::from_mins(1));
    let step = Store::entry_code_given(late, &user("adam"), &old, gone, now);
    assert!(world.store.takes(step).await);
    let told = why(world.redeem("adam", old.reveal()).await);
    assert_eq!(told, "that code has expired; ask an administrator to send another");
}

async fn by_a_channel_that_is_not_set_no_code_is_sent_and_the_one_before_stays_good() {
    let world = world(&[], 1).await;
    let id = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap()[0].id;
    let code = world.code(id).await;
    let (store, access, audit) = (world.store.clone(), world.access.clone(), world.audit.clone());
    let settings = Settings { sends: vec![Channel::Sms], ..Settings::default() };
    let other = RemoteAccesses::new(store, access, audit, world.vault.clone(), settings);
    let told = other.forward(id, Channel::Mail, &by("boss")).await.unwrap_err().to_string();
    assert!(told.contains("no [notify.mail]"), "{told}");
    assert!(world.redeem("olga", &code).await.is_ok());
}

async fn who_guesses_is_not_listened_to_for_a_while_and_others_are() {
    let world = world(&[], 1).await;
    let made = world.remote_accesses.create(&new(None), &by("boss")).await.unwrap();
    let (olga, adam) = (world.code(made[0].id).await, world.code(made[1].id).await);
    for _ in 0..5 {
        assert!(matches!(world.redeem("olga", "guess").await, Err(CodeError::Wrong)));
    }
    let told = why(world.redeem("olga", "guess").await);
    assert_eq!(
        told,
        "too many wrong codes; a right one is taken all the same: copy it as it was sent to you"
    );
    assert!(matches!(world.redeem("olga", &adam).await, Err(CodeError::Deaf)), "nor to somebody else's");
    // Nor by another gate of the same store.
    let (store, access, audit) = (world.store.clone(), world.access.clone(), world.audit.clone());
    let settings = Settings { slowed: Duration::ZERO, ..Settings::default() };
    let other = RemoteAccesses::new(store, access, audit, world.vault.clone(), settings);
    let told = why(other.redeem(&user("olga"), "guess", OUTSIDE.parse().unwrap()).await);
    assert_eq!(
        told,
        "too many wrong codes; a right one is taken all the same: copy it as it was sent to you"
    );
    // A name that no user has reads the same.
    for _ in 0..5 {
        assert!(matches!(world.redeem("nobody", "guess").await, Err(CodeError::Wrong)));
    }
    assert!(matches!(world.redeem("nobody", "guess").await, Err(CodeError::Deaf)));
    assert!(world.redeem("adam", &adam).await.is_ok());
    let right = other.redeem(&user("olga"), &olga, OUTSIDE.parse().unwrap()).await;
    assert!(right.is_ok(), "a right code is no guess, wherever it comes from: {right:?}");
    assert!(
        matches!(world.redeem("olga", "guess").await, Err(CodeError::Wrong)),
        "what was wrong is forgotten"
    );
}

async fn who_guesses_again_and_again_waits_and_a_right_code_does_not() {
    let world = world(&[], 1).await;
    let made = world.remote_accesses.create(&new(None), &by("boss")).await.unwrap();
    let (olga, adam) = (world.code(made[0].id).await, world.code(made[1].id).await);
    // Nobody waits so long: what is answered at all within the test did not wait.
    let slow = Settings { slowed: Duration::from_secs(24 * 3600), ..Settings::default() };
    let world = world.with_remote_accesses(slow);
    for _ in 0..5 {
        assert!(matches!(world.redeem("olga", "guess").await, Err(CodeError::Wrong)));
    }
    let slowed = tokio::time::timeout(Duration::from_millis(300), world.redeem("olga", "guess")).await;
    assert!(slowed.is_err(), "{slowed:?}");
    assert!(world.redeem("olga", &olga).await.is_ok());
    assert!(world.redeem("adam", &adam).await.is_ok());
    assert!(matches!(world.redeem("olga", "guess").await, Err(CodeError::Wrong)), "it is forgotten");
}

async fn whoever_makes_up_names_locks_no_right_code_out() {
    let world = world(&[], 1).await;
    let made = world.remote_accesses.create(&new(None), &by("boss")).await.unwrap();
    let olga = world.code(made[0].id).await;
    for number in 0..256 {
        let invented = world.redeem(&format!("nobody{number}"), "guess").await;
        assert!(matches!(invented, Err(CodeError::Wrong)), "{number}");
    }
    assert!(matches!(world.redeem("olga", "guess").await, Err(CodeError::Deaf)), "she is not counted there");
    let right = world.redeem("olga", &olga).await;
    assert!(right.is_ok(), "{right:?}");
    let used = "that code was used already; ask an administrator to send another";
    assert_eq!(why(world.redeem("olga", &olga).await), used);
}

async fn a_code_of_an_access_that_is_not_good_from_there_is_not_used_up() {
    let world = world(&[], 1).await;
    let start = Some(moment() + jiff::SignedDuration::from_mins(30));
    let asked = NewRemoteAccess { start, ..new(Some("olga")) };
    let id = world.remote_accesses.create(&asked, &by("boss")).await.unwrap()[0].id;
    let code = world.code(id).await;
    assert!(why(world.redeem("olga", &code).await).contains("remote access 1 begins only at "));
    let kept = world.store.entry_code(&Secret::new(code.replace('-', ""))).await.unwrap();
    assert_eq!(kept.unwrap().used, None);
}

async fn a_key_that_is_enrolled_by_a_code_logs_in_until_its_access_ends() {
    let world = world(&[], 1).await;
    let id = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap()[0].id;
    let key = SECOND.parse().unwrap();
    assert!(world.access.enrolled(&user("olga"), &key).is_none());
    world.remote_accesses.enrol(id, &key, &by("olga")).await.unwrap();
    let login = world.access.enrolled(&user("olga"), &key).unwrap();
    let proved = Proved { user: user("olga"), login: login.into(), origin: OUTSIDE.parse().unwrap() };
    assert_eq!(world.access.still_in(&proved), Ok(()));
    assert!(world.access.enrolled(&user("adam"), &key).is_none());
    for taken in [SECOND, KEY] {
        let told = world
            .remote_accesses
            .enrol(id, &taken.parse().unwrap(), &by("olga"))
            .await
            .unwrap_err()
            .to_string();
        assert!(told.starts_with("that key logs somebody in already"), "{told}");
    }
    world.remote_accesses.cancel(id, &by("boss"), None).await.unwrap();
    assert!(matches!(world.access.still_in(&proved), Err(EndReason::Login(_))));
    assert!(world.access.enrolled(&user("olga"), &key).is_none());
}

async fn a_key_that_was_enrolled_more_than_once_logs_in_by_the_active_access_that_ends_last() {
    let world = world(&[], 1).await;
    let key: PublicKey = SECOND.parse().unwrap();
    let mut ids = Vec::new();
    for hours in [1, 3, 2] {
        let asked = NewRemoteAccess { duration: Length::hours(hours), ..new(Some("olga")) };
        let id = world.remote_accesses.create(&asked, &by("boss")).await.unwrap()[0].id;
        world.remote_accesses.enrol(id, &key, &by("olga")).await.unwrap();
        ids.push(id);
    }
    let by_which = || match world.access.enrolled(&user("olga"), &key) {
        Some(Login::Enrolled { access, .. }) => Some(access),
        _ => None,
    };
    assert_eq!(by_which(), Some(ids[1]));
    // Each ends by itself: it keeps its keys, and is remembered for a while.
    for (ended, next) in [(ids[1], Some(ids[2])), (ids[2], Some(ids[0])), (ids[0], None)] {
        let (mut access, was) = world.store.remote_access_to_change(ended).await.unwrap().unwrap();
        access.window.end = moment();
        assert!(world.store.takes(Store::remote_access_changed(access, was)).await);
        world.access.refresh_remote_accesses().await.unwrap();
        assert_eq!(by_which(), next, "after {ended}");
    }
}

async fn an_enrolled_key_logs_in_by_an_access_whose_group_lets_its_user_in_and_else_is_the_users_own() {
    let world = world(&[], 1).await;
    world.apply("[[user_group]]\nname = \"night\"\nusers = [\"olga\"]\n").await;
    let key: PublicKey = SECOND.parse().unwrap();
    let mut ids = Vec::new();
    for (group, hours) in [("field", 3), ("night", 1)] {
        let (group, duration) = (group.parse().unwrap(), Length::hours(hours));
        let asked = NewRemoteAccess { group, duration, ..new(Some("olga")) };
        let id = world.remote_accesses.create(&asked, &by("boss")).await.unwrap()[0].id;
        world.remote_accesses.enrol(id, &key, &by("olga")).await.unwrap();
        ids.push(id);
    }
    let login = || world.access.enrolled(&user("olga"), &key);
    let by_which = || match login() {
        Some(Login::Enrolled { access, .. }) => Some(access),
        _ => None,
    };
    let is_in = |login: Login| {
        let proved = Proved { user: user("olga"), login: login.into(), origin: OUTSIDE.parse().unwrap() };
        world.access.still_in(&proved)
    };
    assert_eq!(by_which(), Some(ids[0]));
    let off = "[[user_group]]\nname = \"field\"\nenabled = false\nusers = [\"olga\", \"adam\"]\n";
    world.apply(off).await;
    assert_eq!(by_which(), Some(ids[1]), "the later end is of a group that is disabled");
    assert_eq!(is_in(login().unwrap()), Ok(()));
    world.apply(&off.replace("enabled = false\n", "").replace("\"olga\", ", "")).await;
    assert_eq!(by_which(), Some(ids[1]), "and now lists her no more");
    // Where none is good, the key is the user's own.
    world.apply("[[user_group]]\nname = \"night\"\n").await;
    assert_eq!(login(), None);
    let own =
        format!("[[user]]\nname = \"olga\"\nemail = \"o@example.org\"\nkeys = [\"{KEY}\", \"{SECOND}\"]\n");
    world.apply(&own).await;
    let proved = Proved {
        user: user("olga"),
        login: Login::Key(key.clone()).into(),
        origin: "10.1.2.3".parse().unwrap(),
    };
    assert_eq!((login(), world.access.still_in(&proved)), (None, Ok(())));
}

on_both! {
    a_code_lets_its_user_in_once_however_it_is_typed_and_nobody_else,
    a_code_is_good_no_more_when_it_has_expired_was_sent_again_or_was_taken_back,
    by_a_channel_that_is_not_set_no_code_is_sent_and_the_one_before_stays_good,
    who_guesses_is_not_listened_to_for_a_while_and_others_are,
    who_guesses_again_and_again_waits_and_a_right_code_does_not,
    whoever_makes_up_names_locks_no_right_code_out,
    a_code_of_an_access_that_is_not_good_from_there_is_not_used_up,
    a_key_that_is_enrolled_by_a_code_logs_in_until_its_access_ends,
    a_key_that_was_enrolled_more_than_once_logs_in_by_the_active_access_that_ends_last,
    an_enrolled_key_logs_in_by_an_access_whose_group_lets_its_user_in_and_else_is_the_users_own,
}
