//! `credential secret …` and `vault …`

mod typed;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::grammar::{Secret, Vault};
use super::screen::Screen;
use super::show::moment;
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::secrets::{self, SecretSource};
use crate::vault::{CredentialSecret, MOST_BYTES};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Secret,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    match asked {
        Secret::List => list(services, actor, screen).await?,
        Secret::Forget { credential } => {
            secrets::forget(services, actor, &credential).await?;
            let done = serde_json::json!({ "forgotten": credential });
            screen.one(&done, || format!("the secret of {credential} is forgotten")).await?;
        }
        Secret::Set { credential } => {
            let prompt = format!("Password or private key of {credential} (nothing is shown): ");
            let mut source = Source { screen: &mut *screen, stdin, prompt };
            let Some(set) = secrets::set(services, actor, &credential, &mut source).await? else {
                screen.remark("Nothing was set.").await?;
                return Ok(1);
            };
            let line = || {
                let more = match set.logs_in {
                    true => "sessions log in with it",
                    false => {
                        "its device has an agent, so sessions log in with certificates, and it is there to be viewed"
                    }
                };
                format!("the {} of {credential} is in the vault; {more}", set.secret.kind)
            };
            screen.one(&set, line).await?;
        }
    }
    Ok(0)
}

async fn list(services: &Services, actor: &Actor, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let all = secrets::list(services, actor).await?;
    let table = || {
        let mut table = Table::new(["CREDENTIAL", "KIND", "SET", "BY", "MASTER KEY"]).keeping([0]);
        for seen in &all {
            let (name, kind, set) = (seen.credential.to_string(), seen.kind.to_string(), moment(seen.set));
            table.row([name, kind, set, seen.by.clone(), seen.key.clone()]);
        }
        table
    };
    screen.list_or(&all, table, "No credential has a secret in the vault.").await
}

pub(super) async fn vault(
    services: &Services,
    actor: &Actor,
    asked: Vault,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Vault::Show => {
            let keys = secrets::master_keys(services, actor).await?;
            let lines = || {
                let mut lines =
                    format!("{} secrets are under the master key {} ({})", keys.secrets, keys.key, keys.file);
                if let Some(old) = &keys.old {
                    let under = keys.under_old;
                    lines.push_str(&format!(
                        "\n{under} are under the one before, {old}; `vault rotate` moves them"
                    ));
                }
                if keys.locked > 0 {
                    lines.push_str(&format!("\n{} are under a key that is not there", keys.locked));
                }
                lines
            };
            screen.one(&keys, lines).await?;
            Ok(0)
        }
        Vault::Rotate => {
            let rotated = secrets::rotate(services, actor).await?;
            let line = || {
                let done = match rotated.secrets {
                    0 => "no secret was under another master key".to_owned(),
                    1 => format!("1 secret is under the master key {} now", rotated.key),
                    many => format!("{many} secrets are under the master key {} now", rotated.key),
                };
                match &rotated.remove {
                    Some(file) => {
                        format!("{done}; nothing needs {file} any more but copies of the store from before")
                    }
                    None => done,
                }
            };
            screen.one(&rotated, line).await?;
            for failed in &rotated.failed {
                screen.complain(failed).await?;
            }
            Ok(u8::from(!rotated.failed.is_empty()))
        }
    }
}

/// The terminal that types a secret, or the pipe that has it.
struct Source<'a, 'b, R> {
    screen: &'a mut Screen<'b>,
    stdin: R,
    prompt: String,
}

impl<R: AsyncRead + Unpin + Send> Source<'_, '_, R> {
    async fn ask(&mut self, prompt: &str) -> std::io::Result<()> {
        self.screen.err.write_all(prompt.as_bytes()).await?;
        self.screen.err.flush().await
    }

    async fn typed(&mut self) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
        let prompt = self.prompt.clone();
        self.ask(&prompt).await?;
        let first = typed::secret(&mut self.stdin).await?;
        self.ask("\n").await?;
        let Some(first) = first else { return Ok(None) };
        if typed::is_key(&first) || first.is_empty() || CredentialSecret::is_of_key(&first) {
            return Ok(Some(first));
        }
        self.ask("The same again: ").await?;
        let again = typed::secret(&mut self.stdin).await?;
        self.ask("\n").await?;
        match again {
            Some(again) if *again == *first => Ok(Some(first)),
            Some(_) => {
                self.ask("tidegate: the two are not the same\n").await?;
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

impl<R: AsyncRead + Unpin + Send> SecretSource for Source<'_, '_, R> {
    async fn read(&mut self) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
        if self.screen.terminal.is_some() {
            return match tokio::time::timeout(typed::PATIENCE, self.typed()).await {
                Ok(typed) => typed,
                Err(_) => {
                    self.ask("\n").await?;
                    Ok(None)
                }
            };
        }
        // As large as it can become, so that no part of it is left behind where it grew.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
        let mut piece = Zeroizing::new([0u8; 1024]);
        while bytes.len() <= MOST_BYTES {
            let count = self.stdin.read(&mut *piece).await?;
            let read = piece.get(..count).filter(|read| !read.is_empty());
            let Some(read) = read else { break };
            let room = (MOST_BYTES + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(read.get(..room.min(count)).unwrap_or_default());
        }
        Ok(Some(bytes))
    }
}
