//! How a secret is sealed: AES-256-GCM-SIV (RFC 8452) with a random nonce, under a data key of the
//! row's own, which is sealed in the same way under a master key. Each sealed text is bound to its
//! place: put into another row, column or version, or called of another kind, it does not open.
//!
//! Layout of a sealed text: nonce (12 bytes), ciphertext, tag (16 bytes).

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use tidegate_common::audit::SecretKind;
use tidegate_common::name::CredentialName;
use zeroize::Zeroizing;

/// Bytes of a master key and of a data key.
pub(super) const KEY_BYTES: usize = 32;

/// A master key or a data key; wiped when it goes.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// It does not open: another key, another place, or altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not what was sealed there, or not under this key")]
pub(super) struct NotOpened;

/// What a sealed text is bound to: the associated data of RFC 5116.
#[derive(Debug, Clone, Copy)]
pub(super) struct AssociatedData<'a> {
    pub credential: &'a CredentialName,
    pub kind: SecretKind,
    /// How often the credential's secret was set.
    pub version: i64,
}

/// A secret as a row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub data_key: Vec<u8>,
    pub secret: Vec<u8>,
}

impl AssociatedData<'_> {
    /// Names hold no NUL, so no two places are written alike.
    fn bound(&self, column: &str) -> Vec<u8> {
        let Self { credential, kind, version } = self;
        format!("tidegate vault, version 1\0{credential}\0{column}\0{version}\0{kind}").into_bytes()
    }

    /// Seals a secret under a new data key, and that under the master key.
    pub fn seal(&self, master: &Key, secret: &[u8]) -> Result<Sealed, NotOpened> {
        let mut data_key: Key = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(&mut *data_key).map_err(|_| NotOpened)?;
        let secret = seal(&data_key, &self.bound("secret"), secret)?;
        Ok(Sealed { data_key: seal(master, &self.bound("data key"), &*data_key)?, secret })
    }

    /// Opens it again.
    pub fn open(&self, master: &Key, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let data_key = self.data_key(master, &sealed.data_key)?;
        open(&data_key, &self.bound("secret"), &sealed.secret)
    }

    /// The same data key under another master key.
    pub fn rewrap(&self, from: &Key, to: &Key, data_key: &[u8]) -> Result<Vec<u8>, NotOpened> {
        seal(to, &self.bound("data key"), &*self.data_key(from, data_key)?)
    }

    fn data_key(&self, master: &Key, sealed: &[u8]) -> Result<Key, NotOpened> {
        let opened = open(master, &self.bound("data key"), sealed)?;
        let key = opened.first_chunk::<KEY_BYTES>().filter(|_| opened.len() == KEY_BYTES);
        key.map(|key| Zeroizing::new(*key)).ok_or(NotOpened)
    }
}

/// Seals a text that waits to be sent.
pub(super) fn seal_waiting(master: &Key, of: &str, text: &[u8]) -> Result<Vec<u8>, NotOpened> {
    seal(master, &waiting(of), text)
}

/// Opens it again.
pub(super) fn open_waiting(master: &Key, of: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    open(master, &waiting(of), sealed)
}

fn waiting(of: &str) -> Vec<u8> {
    format!("tidegate vault, waiting, version 1\0{of}").into_bytes()
}

fn seal(key: &Key, bound: &[u8], clear: &[u8]) -> Result<Vec<u8>, NotOpened> {
    let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &**key).map_err(|_| NotOpened)?;
    // Encrypted where it stands, so that nothing of it in the clear is left behind.
    let mut text = Zeroizing::new(clear.to_vec());
    let sealed = key.seal_in_place_separate_tag(Aad::from(bound), &mut text);
    let (nonce, tag) = sealed.map_err(|_| NotOpened)?;
    Ok([&nonce.as_ref()[..], &text[..], tag.as_ref()].concat())
}

fn open(key: &Key, bound: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &**key).map_err(|_| NotOpened)?;
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(NotOpened)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened)?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = key.open_in_place(nonce, Aad::from(bound), &mut text).map_err(|_| NotOpened)?.len();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Zeroizing::new([byte; KEY_BYTES])
    }

    fn ops() -> CredentialName {
        "ops@db01".parse().unwrap()
    }

    fn associated(credential: &CredentialName) -> AssociatedData<'_> {
        AssociatedData { credential, kind: SecretKind::Password, version: 1 }
    }

    #[test]
    fn a_secret_opens_where_it_was_sealed_and_nothing_of_it_shows() {
        let (ops, secret) = (ops(), b"correct horse battery staple");
        let sealed = associated(&ops).seal(&key(1), secret).unwrap();
        assert_eq!(&**associated(&ops).open(&key(1), &sealed).unwrap(), secret);
        let again = associated(&ops).seal(&key(1), secret).unwrap();
        assert_ne!(sealed, again, "two of the same look alike");
        for text in [&sealed.secret, &sealed.data_key] {
            assert!(!text.windows(7).any(|part| part == b"battery"));
        }
    }

    #[test]
    fn a_row_that_is_changed_swapped_cut_or_put_elsewhere_does_not_open() {
        let (ops, other) = (ops(), "root@db01".parse().unwrap());
        let sealed = associated(&ops).seal(&key(1), b"hunter2").unwrap();
        let more = associated(&ops).seal(&key(1), b"hunter3").unwrap();
        let here = associated(&ops);
        assert!(here.open(&key(1), &sealed).is_ok());
        for elsewhere in [
            AssociatedData { credential: &other, ..here },
            AssociatedData { version: 2, ..here },
            AssociatedData { kind: SecretKind::PrivateKey, ..here },
        ] {
            assert_eq!(elsewhere.open(&key(1), &sealed).unwrap_err(), NotOpened, "{elsewhere:?}");
        }
        assert_eq!(here.open(&key(2), &sealed).unwrap_err(), NotOpened, "another master key");
        let swapped = [
            Sealed { data_key: more.data_key.clone(), ..sealed.clone() },
            Sealed { data_key: sealed.secret.clone(), secret: sealed.data_key.clone() },
            Sealed { data_key: sealed.data_key.clone(), secret: sealed.data_key.clone() },
        ];
        for swapped in swapped {
            assert_eq!(here.open(&key(1), &swapped).unwrap_err(), NotOpened, "columns are swapped");
        }
        for at in 0..sealed.secret.len() {
            let mut changed = sealed.clone();
            changed.secret[at] ^= 1;
            assert_eq!(here.open(&key(1), &changed).unwrap_err(), NotOpened, "byte {at}");
            changed.secret.truncate(at);
            assert_eq!(here.open(&key(1), &changed).unwrap_err(), NotOpened, "cut at {at}");
        }
        for at in 0..sealed.data_key.len() {
            let mut changed = sealed.clone();
            changed.data_key[at] ^= 1;
            assert_eq!(here.open(&key(1), &changed).unwrap_err(), NotOpened, "byte {at} of the data key");
            changed.data_key.truncate(at);
            assert_eq!(here.open(&key(1), &changed).unwrap_err(), NotOpened, "data key cut at {at}");
        }
    }

    #[test]
    fn a_data_key_under_another_master_key_opens_with_that_one_alone() {
        let ops = ops();
        let sealed = associated(&ops).seal(&key(1), b"hunter2").unwrap();
        let data_key = associated(&ops).rewrap(&key(1), &key(2), &sealed.data_key).unwrap();
        let moved = Sealed { data_key, ..sealed.clone() };
        assert_eq!(&**associated(&ops).open(&key(2), &moved).unwrap(), b"hunter2");
        assert_eq!(associated(&ops).open(&key(1), &moved).unwrap_err(), NotOpened);
        assert_eq!(associated(&ops).rewrap(&key(3), &key(2), &sealed.data_key).unwrap_err(), NotOpened);
    }
}
