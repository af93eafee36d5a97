//! The vault on a store: what is set comes back, what was altered does not, and another master key follows
//! the first while secrets are in use.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tidegate_common::audit::SecretKind;

use super::*;
use crate::store::testing::on_both;
use crate::testing::World;

const RESOURCES: &str = "[[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n[[credential]]\n\
                         name = \"sa@db01\"\n[[credential]]\nname = \"root@db01\"\n";

struct Room {
    world: World,
    vault: Vault,
    key: PathBuf,
}

/// A key of this byte, over and over.
fn write_key(path: &Path, byte: u8) {
    let _ = fs::remove_file(path);
    crate::files::write_new(path, &[byte; 32], 0o400).unwrap();
}

fn password(text: &str) -> CredentialSecret {
    CredentialSecret::read(text.as_bytes().to_vec().into()).unwrap()
}

fn name(text: &str) -> CredentialName {
    text.parse().unwrap()
}

impl Room {
    async fn new() -> Self {
        let world = World::new(RESOURCES).await;
        let key = world.temporary.directory().join("vault.key");
        write_key(&key, 1);
        let vault = Vault::new(world.store.clone(), world.audit.clone(), Some(key.clone()));
        Self { world, vault, key }
    }

    async fn set(&self, credential: &str, text: &str) {
        self.vault.set(&name(credential), &password(text), &By::proxy()).await.unwrap();
    }

    async fn shows(&self, credential: &str) -> Result<Option<CredentialSecret>, VaultError> {
        self.vault.secret(&name(credential)).await
    }

    /// The vault of a gate that starts now.
    fn begun_again(&self) -> Vault {
        Vault::new(self.world.store.clone(), self.world.audit.clone(), Some(self.key.clone()))
    }

    /// The key becomes the one before, and another follows.
    fn exchange(&self, byte: u8) {
        fs::rename(&self.key, keys::old_of(&self.key)).unwrap();
        write_key(&self.key, byte);
    }
}

async fn what_is_set_comes_back_until_it_is_forgotten_and_the_log_tells_no_word_of_it() {
    let room = Room::new().await;
    assert_eq!(room.shows("ops@db01").await.unwrap(), None);
    room.set("ops@db01", "hunter2").await;
    room.set("ops@db01", "hunter3").await;
    assert_eq!(room.shows("ops@db01").await.unwrap(), Some(password("hunter3")));
    let all = room.vault.list().await.unwrap();
    assert_eq!((all.len(), all[0].kind, all[0].by.as_str()), (1, SecretKind::Password, "proxy"));
    room.vault.forget(&name("ops@db01"), &By::proxy()).await.unwrap();
    assert_eq!(room.shows("ops@db01").await.unwrap(), None);
    let again = room.vault.forget(&name("ops@db01"), &By::proxy()).await.unwrap_err();
    assert!(again.to_string().starts_with("there is no secret of ops@db01"), "{again}");
    let told: Vec<_> = room.world.records().await.iter().map(|record| record.event.to_string()).collect();
    let told = told.join("\n");
    let put = "the password of ops@db01 was put into the vault\n";
    let ends = format!("{put}{put}the secret of ops@db01 was taken out of the vault");
    assert!(told.ends_with(&ends) && !told.contains("hunter"), "{told}");
}

async fn a_row_that_was_altered_or_put_in_the_place_of_another_is_refused() {
    let room = Room::new().await;
    room.set("ops@db01", "hunter2").await;
    room.set("sa@db01", "hunter3").await;
    let store = &room.world.store;
    let row =
        |credential: &'static str| async move { store.secret(&name(credential)).await.unwrap().unwrap() };
    let (ops, sa) = (row("ops@db01").await, row("sa@db01").await);
    let put = async |row: SecretRow| {
        let was = store.secret(&row.seen.credential).await.unwrap().map(|row| row.version);
        assert!(store.takes(Store::secret_set_step(row, was)).await);
    };
    let mut cut = ops.clone();
    cut.secret.pop();
    let altered = [
        SecretRow { secret: sa.secret.clone(), data_key: sa.data_key.clone(), ..ops.clone() },
        SecretRow { data_key: sa.data_key.clone(), ..ops.clone() },
        SecretRow { seen: SecretSeen { kind: SecretKind::PrivateKey, ..ops.seen.clone() }, ..ops.clone() },
        SecretRow { version: 2, ..ops.clone() },
        SecretRow { secret: Vec::new(), ..ops.clone() },
        cut,
    ];
    for row in altered {
        put(row).await;
        let refused = room.shows("ops@db01").await.unwrap_err();
        assert!(matches!(&refused, VaultError::Altered(of) if *of == name("ops@db01")), "{refused}");
    }
    put(ops).await;
    assert_eq!(room.shows("ops@db01").await.unwrap(), Some(password("hunter2")));
}

async fn another_master_key_follows_while_secrets_are_in_use_and_what_was_interrupted_goes_on() {
    let room = Room::new().await;
    for (credential, text) in [("ops@db01", "one"), ("sa@db01", "two"), ("root@db01", "three")] {
        room.set(credential, text).await;
    }
    let all_show = async |vault: &Vault| {
        for (credential, text) in [("ops@db01", "one"), ("sa@db01", "two"), ("root@db01", "three")] {
            assert_eq!(vault.secret(&name(credential)).await.unwrap(), Some(password(text)), "{credential}");
        }
    };
    room.exchange(2);
    all_show(&room.vault).await;
    let before = room.vault.master_keys().await.unwrap();
    assert_eq!((before.secrets, before.under_old, before.locked), (0, 3, 0));

    // The gate dies when one of three is moved: the step of the others was never written.
    let keys = room.vault.keys().await.unwrap();
    let one = room.world.store.secrets_not_under(&keys.now.id, None, 1).await.unwrap();
    let moved = room.vault.rewrapped(&keys, &one[0]).unwrap();
    assert!(room.world.store.takes(Store::secrets_rewrapped_step(vec![moved])).await);
    let again = room.begun_again();
    again.check().await.unwrap();
    all_show(&again).await;
    let between = again.master_keys().await.unwrap();
    assert_eq!((between.secrets, between.under_old, between.locked), (1, 2, 0));

    let rotated = again.rotate(&By::proxy()).await.unwrap();
    assert_eq!((rotated.secrets, rotated.failed.len()), (2, 0));
    assert_eq!(rotated.remove, Some(keys::old_of(&room.key).display().to_string()));
    fs::remove_file(keys::old_of(&room.key)).unwrap();
    all_show(&room.vault).await;
    all_show(&room.begun_again()).await;
    assert_eq!(room.vault.rotate(&By::proxy()).await.unwrap().secrets, 0);
}

async fn what_is_under_a_key_that_is_gone_is_told_and_the_others_move_all_the_same() {
    let room = Room::new().await;
    room.set("ops@db01", "one").await;
    room.exchange(2);
    fs::remove_file(keys::old_of(&room.key)).unwrap();
    room.set("sa@db01", "two").await;
    let locked = room.shows("ops@db01").await.unwrap_err().to_string();
    assert!(locked.contains("is under the master key") && locked.contains("set the secret anew"), "{locked}");
    room.exchange(3);
    let rotated = room.vault.rotate(&By::proxy()).await.unwrap();
    assert_eq!((rotated.secrets, rotated.failed, rotated.remove), (1, vec![locked], None));
    assert_eq!(room.shows("sa@db01").await.unwrap(), Some(password("two")));
    assert_eq!(room.vault.master_keys().await.unwrap().locked, 1);
    // It can be set anew over what nobody can read.
    room.set("ops@db01", "four").await;
    assert_eq!(room.shows("ops@db01").await.unwrap(), Some(password("four")));
}

async fn a_secret_of_no_credential_is_not_set() {
    let room = Room::new().await;
    let set = room.vault.set(&name("nobody@db01"), &password("one"), &By::proxy()).await.unwrap_err();
    assert!(matches!(&set, VaultError::Audit(error) if error.is_changed()), "{set}");
    assert_eq!(room.vault.list().await.unwrap(), []);
}

on_both! {
    what_is_set_comes_back_until_it_is_forgotten_and_the_log_tells_no_word_of_it,
    a_row_that_was_altered_or_put_in_the_place_of_another_is_refused,
    another_master_key_follows_while_secrets_are_in_use_and_what_was_interrupted_goes_on,
    what_is_under_a_key_that_is_gone_is_told_and_the_others_move_all_the_same,
    a_secret_of_no_credential_is_not_set,
}

#[test]
fn nobody_looks_into_a_gate_and_it_leaves_no_core_dump() {
    keep_memory_private();
    assert!(!nix::sys::prctl::get_dumpable().unwrap());
}

#[tokio::test]
async fn a_master_key_that_others_may_read_or_that_is_none_is_refused_with_what_to_do() {
    let room = Room::new().await;
    room.vault.check().await.unwrap();
    let mode = |mode| fs::set_permissions(&room.key, fs::Permissions::from_mode(mode)).unwrap();
    for wrong in [0o440, 0o404, 0o600, 0o500, 0o644] {
        mode(wrong);
        let told = room.vault.check().await.unwrap_err().to_string();
        assert!(told.contains(&format!("has mode {wrong:04o}")) && told.contains("chmod 0400"), "{told}");
    }
    mode(0o400);
    room.vault.check().await.unwrap();
    for (bytes, says) in [
        (&[1; 31][..], "has 31 bytes and must have 32"),
        (&[1; 33], "has 33 bytes and must have 32"),
        (&[], "has 0 bytes"),
        (&[0; 32], "is all zeroes"),
    ] {
        fs::remove_file(&room.key).unwrap();
        crate::files::write_new(&room.key, bytes, 0o400).unwrap();
        let told = room.vault.check().await.unwrap_err().to_string();
        assert!(told.contains(says), "{told}");
    }
    fs::remove_file(&room.key).unwrap();
    let told = room.vault.check().await.unwrap_err().to_string();
    assert!(told.contains("is not there; put it there"), "{told}");
    fs::create_dir(&room.key).unwrap();
    assert!(room.vault.check().await.unwrap_err().to_string().contains("is not there"));
    let none = Vault::new(room.world.store.clone(), room.world.audit.clone(), None);
    none.check().await.unwrap();
    let told = none.set(&name("ops@db01"), &password("x"), &By::proxy()).await.unwrap_err().to_string();
    assert!(told.starts_with("the vault has no master key; write 32 random bytes to a file"), "{told}");
}
