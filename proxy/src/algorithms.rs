//! The algorithms that both legs offer: no SHA-1, no CBC, no compression, strict key
//! exchange. The settings choose among them and order them; nothing else can be added.

use std::borrow::Cow;

use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::{Preferred, cipher, kex, mac};

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
];
/// Not for choice: without them there is no strict key exchange.
const EXTENSIONS: &[kex::Name] = &[
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

fn host_keys() -> Vec<Algorithm> {
    let safe = |algorithm: &&Algorithm| **algorithm != Algorithm::Rsa { hash: None };
    Preferred::DEFAULT.key.iter().filter(safe).cloned().collect()
}

/// What both legs offer, best first.
#[derive(Debug, Clone)]
pub struct Algorithms {
    kex: Vec<kex::Name>,
    ciphers: Vec<cipher::Name>,
    macs: Vec<mac::Name>,
    host_keys: Vec<Algorithm>,
}

impl Default for Algorithms {
    fn default() -> Self {
        Self { kex: KEX.to_vec(), ciphers: CIPHERS.to_vec(), macs: MACS.to_vec(), host_keys: host_keys() }
    }
}

impl Algorithms {
    /// A choice; where there is none, everything.
    pub fn choose(
        kex: Option<Vec<kex::Name>>,
        ciphers: Option<Vec<cipher::Name>>,
        macs: Option<Vec<mac::Name>>,
        host_keys: Option<Vec<Algorithm>>,
    ) -> Self {
        let all = Self::default();
        Self {
            kex: kex.unwrap_or(all.kex),
            ciphers: ciphers.unwrap_or(all.ciphers),
            macs: macs.unwrap_or(all.macs),
            host_keys: host_keys.unwrap_or(all.host_keys),
        }
    }

    /// Whether the gate may prove itself with this key.
    pub fn take(&self, key: &PrivateKey) -> bool {
        self.host_keys.iter().any(|algorithm| same_kind(algorithm, &key.algorithm()))
    }

    /// For the side of the clients. The list of keys is also that of the signatures
    /// which users may log in with (RFC 8308, `server-sig-algs`), so kinds of keys that
    /// the gate does not prove itself with stay in it, at the end.
    pub fn server(&self) -> Preferred {
        let mut key = self.host_keys.clone();
        for other in host_keys() {
            if !key.iter().any(|chosen| same_kind(chosen, &other)) {
                key.push(other);
            }
        }
        self.preferred(key)
    }

    /// For the side of a device, whose keys of these are vouched for: it shall show one
    /// of them. `None` when the choice leaves no kind of key.
    pub fn client(&self, vouched: &[PublicKey]) -> Option<Preferred> {
        let known = |chosen: &&Algorithm| vouched.iter().any(|key| same_kind(chosen, &key.algorithm()));
        let key: Vec<_> = self.host_keys.iter().filter(known).cloned().collect();
        (!key.is_empty()).then(|| self.preferred(key))
    }

    fn preferred(&self, key: Vec<Algorithm>) -> Preferred {
        Preferred {
            kex: Cow::Owned([&self.kex, EXTENSIONS].concat()),
            cipher: Cow::Owned(self.ciphers.clone()),
            mac: Cow::Owned(self.macs.clone()),
            compression: Cow::Borrowed(&[russh::compression::NONE]),
            key: Cow::Owned(key),
            ..Preferred::DEFAULT
        }
    }
}

/// Whether a key of one can sign as the other says: RSA keys do with either hash.
fn same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// A key exchange by its name in RFC 9142 and ssh_config(5).
///
/// # Errors
/// A sentence that lists what there is; also below.
pub fn kex(name: &str) -> Result<kex::Name, String> {
    named(name, KEX, "key exchange")
}

/// A cipher by its name.
pub fn cipher(name: &str) -> Result<cipher::Name, String> {
    named(name, CIPHERS, "cipher")
}

/// A MAC by its name.
pub fn mac(name: &str) -> Result<mac::Name, String> {
    named(name, MACS, "MAC")
}

/// A host key's algorithm by its name.
pub fn host_key(name: &str) -> Result<Algorithm, String> {
    named(name, &host_keys().into_iter().map(HostKey).collect::<Vec<_>>(), "host key algorithm")
        .map(|HostKey(algorithm)| algorithm)
}

/// Whether the gate has a key of one of these kinds.
pub fn some_own(chosen: &[Algorithm]) -> bool {
    let own = [Algorithm::Ed25519, Algorithm::Rsa { hash: Some(HashAlg::Sha512) }];
    chosen.iter().any(|algorithm| own.iter().any(|kind| same_kind(kind, algorithm)))
}

#[derive(Clone)]
struct HostKey(Algorithm);

impl AsRef<str> for HostKey {
    fn as_ref(&self) -> &str {
        self.0.as_str()
    }
}

fn named<T: AsRef<str> + Clone>(name: &str, offered: &[T], what: &str) -> Result<T, String> {
    let found = offered.iter().find(|known| known.as_ref() == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<_> = offered.iter().map(AsRef::as_ref).collect();
        format!(
            "`{}` is no {what} that is safe and known here; choose among {}",
            name.escape_default(),
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<T: AsRef<str>>(list: &[T]) -> Vec<&str> {
        list.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn strict_key_exchange_stays_whatever_is_chosen() {
        let chosen = Algorithms::choose(Some(vec![kex("curve25519-sha256").unwrap()]), None, None, None);
        assert_eq!(
            names(&chosen.server().kex),
            [
                "curve25519-sha256",
                "ext-info-c",
                "ext-info-s",
                "kex-strict-c-v00@openssh.com",
                "kex-strict-s-v00@openssh.com"
            ]
        );
    }

    #[test]
    fn an_unsafe_name_is_refused_and_the_answer_lists_the_safe_ones() {
        for why in [
            kex("diffie-hellman-group1-sha1").unwrap_err(),
            kex("kex-strict-s-v00@openssh.com").unwrap_err(),
            cipher("aes256-cbc").unwrap_err(),
            cipher("none").unwrap_err(),
            mac("hmac-sha1").unwrap_err(),
            host_key("ssh-rsa").unwrap_err(),
        ] {
            assert!(why.contains("choose among"), "{why}");
        }
        assert!(mac("hmac-md5").unwrap_err().contains("hmac-sha2-256-etm@openssh.com"));
        for name in names(CIPHERS) {
            assert!(cipher(name).is_ok(), "{name}");
        }
        for algorithm in host_keys() {
            assert_eq!(host_key(algorithm.as_str()), Ok(algorithm));
        }
    }

    #[test]
    fn a_choice_of_host_keys_does_not_bind_the_keys_of_users() {
        let chosen = Algorithms::choose(None, None, None, Some(vec![host_key("ssh-ed25519").unwrap()]));
        let key = chosen.server().key;
        assert_eq!(key.first(), Some(&Algorithm::Ed25519));
        assert!(key.contains(&Algorithm::Rsa { hash: Some(HashAlg::Sha512) }));
        let one_hash = Algorithms::choose(None, None, None, Some(vec![host_key("rsa-sha2-512").unwrap()]));
        assert!(!one_hash.server().key.contains(&Algorithm::Rsa { hash: Some(HashAlg::Sha256) }));
    }

    #[test]
    fn a_device_is_asked_for_a_key_that_is_vouched_for_and_chosen() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJrZpZ3lHLdlcmMHVMRiXgDJRAOPKDoRyTHP8FVgNE5p";
        let vouched = [PublicKey::from_openssh(line).unwrap()];
        let all = Algorithms::default().client(&vouched).unwrap();
        assert_eq!(all.key.as_ref(), [Algorithm::Ed25519]);
        let rsa = Algorithms::choose(None, None, None, Some(vec![host_key("rsa-sha2-512").unwrap()]));
        assert!(rsa.client(&vouched).is_none());
    }
}
