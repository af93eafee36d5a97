use tidegate_common::model::{ResourceName, Resources};

use super::*;
use crate::store::testing::{Temporary, on_both};

fn row(credential: &str, version: i64, key: &str) -> SecretRow {
    let seen = SecretSeen {
        credential: credential.parse().unwrap(),
        kind: SecretKind::Password,
        set: Timestamp::from_second(1_800_000_000).unwrap(),
        by: "admin".to_owned(),
        key: key.to_owned(),
    };
    SecretRow { seen, version, data_key: vec![0, 1, 0xff], secret: vec![version.to_le_bytes()[0], 0xfe] }
}

/// A store with a device and these credentials.
async fn with(credentials: &[&str]) -> Temporary {
    let temporary = Temporary::new().await;
    let mut text = "[[device]]\nname = \"db01\"\n".to_owned();
    text.extend(credentials.iter().map(|name| format!("[[credential]]\nname = \"{name}\"\n")));
    let update = Resources::default().update(&text).unwrap();
    let put = update.written.into_iter().map(|(resource, _)| resource).collect();
    let (_, was) = temporary.store.resources_to_change().await.unwrap();
    assert!(temporary.store.takes(Store::resources_step(put, Vec::new(), was)).await);
    temporary
}

async fn a_secret_is_set_again_only_over_the_one_that_was_read_and_comes_back_to_the_byte() {
    let temporary = with(&["ops@db01"]).await;
    let (store, ops) = (&temporary.store, "ops@db01".parse().unwrap());
    assert_eq!(store.secret(&ops).await.unwrap(), None);
    assert!(store.takes(Store::secret_set_step(row("ops@db01", 1, "k1"), None)).await);
    assert!(!store.takes(Store::secret_set_step(row("ops@db01", 1, "k1"), None)).await, "it is there");
    assert!(store.takes(Store::secret_set_step(row("ops@db01", 2, "k1"), Some(1))).await);
    assert!(
        !store.takes(Store::secret_set_step(row("ops@db01", 2, "k1"), Some(1))).await,
        "another was faster"
    );
    assert_eq!(store.secret(&ops).await.unwrap(), Some(row("ops@db01", 2, "k1")));
    assert_eq!(store.secrets().await.unwrap(), [row("ops@db01", 2, "k1").seen]);
    assert!(!store.takes(Store::secret_forgotten_step(ops.clone(), 1)).await, "another was faster");
    assert!(store.takes(Store::secret_forgotten_step(ops.clone(), 2)).await);
    assert_eq!(store.secret(&ops).await.unwrap(), None);
}

async fn a_secret_is_of_a_credential_that_is_there_and_goes_with_it() {
    let temporary = with(&["ops@db01"]).await;
    let (store, ops) = (&temporary.store, "ops@db01".parse().unwrap());
    assert!(
        !store.takes(Store::secret_set_step(row("root@db01", 1, "k1"), None)).await,
        "no such credential"
    );
    assert!(store.takes(Store::secret_set_step(row("ops@db01", 1, "k1"), None)).await);
    let (_, was) = store.resources_to_change().await.unwrap();
    let name = ResourceName { kind: Kind::Credential, name: "ops@db01".to_owned() };
    assert!(store.takes(Store::resources_step(Vec::new(), vec![name], was)).await);
    assert_eq!(store.secret(&ops).await.unwrap(), None, "who makes it again does not find the old secret");
}

async fn data_keys_move_page_by_page_and_none_over_a_secret_that_was_set_meanwhile() {
    let names = ["a@db01", "b@db01", "c@db01"];
    let temporary = with(&names).await;
    let store = &temporary.store;
    for name in names {
        assert!(store.takes(Store::secret_set_step(row(name, 1, "k1"), None)).await);
    }
    let moved = |name: &str| Rewrapped {
        credential: name.parse().unwrap(),
        version: 1,
        was: "k1".to_owned(),
        key: "k2".to_owned(),
        data_key: vec![9],
    };
    let page = store.secrets_not_under("k2", None, 2).await.unwrap();
    assert_eq!(page, [row("a@db01", 1, "k1"), row("b@db01", 1, "k1")]);
    // Somebody sets one of them meanwhile: the whole page waits.
    assert!(store.takes(Store::secret_set_step(row("b@db01", 2, "k2"), Some(1))).await);
    assert!(!store.takes(Store::secrets_rewrapped_step(vec![moved("a@db01"), moved("b@db01")])).await);
    let page = store.secrets_not_under("k2", None, 2).await.unwrap();
    assert_eq!(page, [row("a@db01", 1, "k1"), row("c@db01", 1, "k1")]);
    assert!(store.takes(Store::secrets_rewrapped_step(vec![moved("a@db01"), moved("c@db01")])).await);
    assert_eq!(store.secrets_not_under("k2", None, 2).await.unwrap(), []);
    let now = store.secret(&"a@db01".parse().unwrap()).await.unwrap().unwrap();
    let before = row("a@db01", 1, "k2");
    assert_eq!(now, SecretRow { data_key: vec![9], ..before });
    assert_eq!(store.secrets_not_under("k3", Some(&"b@db01".parse().unwrap()), 9).await.unwrap().len(), 1);
}

on_both! {
    a_secret_is_set_again_only_over_the_one_that_was_read_and_comes_back_to_the_byte,
    a_secret_is_of_a_credential_that_is_there_and_goes_with_it,
    data_keys_move_page_by_page_and_none_over_a_secret_that_was_set_meanwhile,
}
