//! The key that signs recordings: Ed25519, made at the first start, in OpenSSH's
//! formats, so that `ssh-keygen -l -f recording_key.pub` shows it. Signatures are those
//! of SSHSIG (OpenSSH's PROTOCOL.sshsig) in a namespace of their own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, SshSig};
use tidegate_common::recording::Signature;
use zeroize::Zeroize as _;

use super::RecordError;
use crate::files::write_new;

const NAMESPACE: &str = "recording@tidegate";
const COMMENT: &str = "tidegate recordings";

/// The private key; shared by all recordings of a proxy.
#[derive(Clone)]
pub struct RecordingKey(Arc<PrivateKey>);

/// What verifies recordings.
#[derive(Debug, Clone)]
pub struct PublicKey(ssh_key::PublicKey);

impl RecordingKey {
    /// Reads `state_dir/recording_key`, or makes it and `recording_key.pub` beside it.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn open(state_dir: &Path) -> Result<Self, RecordError> {
        let path = state_dir.join("recording_key");
        let wrong = |why: String| RecordError::Key { path: path.clone(), why };
        match fs::read(&path) {
            Ok(mut text) => {
                let key = PrivateKey::from_openssh(&text);
                text.zeroize();
                let key = key.map_err(|error| wrong(format!("it is no OpenSSH private key ({error})")))?;
                if key.algorithm() != Algorithm::Ed25519 || key.is_encrypted() {
                    return Err(wrong("it must be an Ed25519 key without a passphrase".to_owned()));
                }
                Ok(Self(Arc::new(key)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                key.save(state_dir).map_err(|error| wrong(format!("it could not be made ({error})")))?;
                Ok(key)
            }
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    fn generate() -> Result<Self, RecordError> {
        let mut seed: [u8; 32] = rand::random();
        let pair = Ed25519Keypair::from_seed(&seed);
        seed.zeroize();
        let key = PrivateKey::new(KeypairData::from(pair), COMMENT).map_err(RecordError::Sign)?;
        Ok(Self(Arc::new(key)))
    }

    /// Both halves, durable; the private one appears whole or not at all.
    fn save(&self, state_dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let public = format!("{}\n", self.0.public_key().to_openssh()?);
        let private = self.0.to_openssh(LineEnding::LF)?;
        write_new(&state_dir.join("recording_key.pub"), public.as_bytes(), 0o644)?;
        Ok(write_new(&state_dir.join("recording_key"), private.as_bytes(), 0o600)?)
    }

    /// The other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().clone())
    }

    /// Signs `text`, which begins with what it is, so that no signature stands for another.
    ///
    /// # Errors
    /// When the key can't.
    pub fn sign(&self, text: &[u8]) -> Result<Signature, RecordError> {
        let signed = self.0.sign(NAMESPACE, HashAlg::Sha512, text).map_err(RecordError::Sign)?;
        signed.signature_bytes().try_into().map_err(|_| RecordError::Sign(ssh_key::Error::Crypto))
    }
}

impl PublicKey {
    /// `SHA256:…`
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Whether the key signed `text`.
    #[must_use]
    pub fn check(&self, text: &[u8], signature: &Signature) -> bool {
        let signature = ssh_key::Signature::new(Algorithm::Ed25519, signature.to_vec());
        let rebuilt = signature.and_then(|signature| {
            SshSig::new(self.0.key_data().clone(), NAMESPACE, HashAlg::Sha512, signature)
        });
        rebuilt.is_ok_and(|rebuilt| self.0.verify(NAMESPACE, text, &rebuilt).is_ok())
    }
}
