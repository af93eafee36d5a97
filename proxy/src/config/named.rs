//! The files that settings name: whether each can be used, which the gate finds at its start or when
//! it sends. What only the gate's unit can see is not looked at, and that is told.

use std::ffi::CString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, User, geteuid, getgrouplist};

use super::Config;
use super::notify::CREDENTIALS;
use crate::files;
use crate::geo::{Geo, GeoError};
use crate::http::{self, Client};
use crate::notify::webhook;
use crate::vault::{Keyless, look_at_key};

/// Whom the packaged unit runs as.
const ACCOUNT: &str = "tidegate";

/// Where systemd keeps the credentials of its units (systemd.exec(5)).
const OF_UNITS: &str = "/run/credentials";

/// What came of a look at them.
#[derive(Debug, Default)]
pub struct NamedFiles {
    /// What cannot be used, each with its setting.
    pub wrong: Vec<String>,
    /// What was not looked at and why, and what the unit's account may not read.
    pub notes: Vec<String>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The vault's master key.
    Vault,
    /// A password, or what a request is sent with.
    Secret,
    /// What webhooks are signed with.
    Signing,
    /// Whom TLS trusts.
    Authorities,
    /// Where addresses are.
    Places,
}

/// Who looks.
struct Looker {
    /// Whether systemd gave this process credentials.
    credentials: bool,
    root: bool,
    /// Who may have to read them where root looks; none where there is no such account.
    account: Option<UnitAccount>,
}

struct UnitAccount {
    user: u32,
    groups: Vec<u32>,
}

/// Why a file was not found to be right.
enum Unfit {
    /// Who looks may not read it.
    Closed,
    /// It cannot be used, and why.
    Wrong(String),
}

impl Config {
    /// Looks at every file that is named.
    pub async fn look_at_files(&self) -> NamedFiles {
        self.look_as(&Looker::here()).await
    }

    async fn look_as(&self, looker: &Looker) -> NamedFiles {
        let mut found = NamedFiles::default();
        let files = self.files();
        for (setting, path, what) in &files {
            let shown = path.display();
            if path.starts_with(OF_UNITS) && !looker.credentials {
                found.notes.push(format!(
                    "`{setting}`: {shown} was not looked at: systemd gives credentials to the gate's unit only"
                ));
                continue;
            }
            match look(path, *what).await {
                Ok(()) => found.notes.extend(looker.withheld(path).map(|why| format!("`{setting}`: {why}"))),
                Err(Unfit::Closed) => found.notes.push(format!(
                    "`{setting}`: {shown} was not looked at, because you may not read it; root may"
                )),
                Err(Unfit::Wrong(why)) => found.wrong.push(format!("`{setting}`: {why}")),
            }
        }
        if looker.root && looker.account.is_none() && !files.is_empty() {
            found.notes.push(format!(
                "there is no account `{ACCOUNT}` here, so it was not looked at whether the gate may read its files"
            ));
        }
        found
    }

    /// Each with the setting that names it.
    fn files(&self) -> Vec<(&'static str, &Path, Purpose)> {
        let mut all = vec![
            ("vault.key", &self.vault.key, Purpose::Vault),
            ("remote_access.geoip", &self.remote_access.geoip, Purpose::Places),
        ];
        if let Some(endpoint) = &self.governance.endpoint {
            all.push(("governance.secret_file", &endpoint.secret_file, Purpose::Secret));
            all.push(("governance.ca_file", &endpoint.ca_file, Purpose::Authorities));
        }
        if let Some(mail) = &self.notify.mail {
            all.push(("notify.mail.password_file", &mail.password_file, Purpose::Secret));
            all.push(("notify.mail.ca_file", &mail.ca_file, Purpose::Authorities));
        }
        if let Some(sms) = &self.notify.sms {
            all.push(("notify.sms.secret_file", &sms.secret_file, Purpose::Secret));
            all.push(("notify.sms.ca_file", &sms.ca_file, Purpose::Authorities));
        }
        if let Some(webhook) = &self.notify.webhook {
            all.push(("notify.webhook.secret_file", &webhook.secret_file, Purpose::Signing));
            all.push(("notify.webhook.ca_file", &webhook.ca_file, Purpose::Authorities));
        }
        all.into_iter().filter_map(|(setting, path, what)| Some((setting, path.as_deref()?, what))).collect()
    }
}

impl Looker {
    fn here() -> Self {
        let root = geteuid().is_root();
        let account = if root { UnitAccount::of_unit() } else { None };
        Self { credentials: std::env::var_os(CREDENTIALS).is_some(), root, account }
    }

    /// Says that the unit's account may not read a file which root may, by its owner and mode.
    fn withheld(&self, path: &Path) -> Option<String> {
        let account = self.account.as_ref().filter(|_| self.root)?;
        let about = path.metadata().ok()?;
        let why = || format!("by its owner and mode, `{ACCOUNT}` may not read {}", path.display());
        (!account.may_read(&about)).then(why)
    }
}

impl UnitAccount {
    fn of_unit() -> Option<Self> {
        let user = User::from_name(ACCOUNT).ok().flatten()?;
        let groups = getgrouplist(&CString::new(ACCOUNT).ok()?, user.gid).unwrap_or_else(|_| vec![user.gid]);
        Some(Self { user: user.uid.as_raw(), groups: groups.into_iter().map(Gid::as_raw).collect() })
    }

    fn may_read(&self, about: &Metadata) -> bool {
        let bit = if about.uid() == self.user {
            0o400
        } else if self.groups.contains(&about.gid()) {
            0o040
        } else {
            0o004
        };
        about.mode() & bit != 0
    }
}

async fn look(path: &Path, what: Purpose) -> Result<(), Unfit> {
    if what == Purpose::Vault {
        return look_at_key(path).map_err(|why| match why {
            Keyless::File { error, .. } if is_closed(&error) => Unfit::Closed,
            other => Unfit::Wrong(other.to_string()),
        });
    }
    // First: to open a FIFO would wait for ever.
    files::open_plain(path).map_err(|error| match is_closed(&error) {
        true => Unfit::Closed,
        false => Unfit::Wrong(format!("{}: {error}", path.display())),
    })?;
    match what {
        Purpose::Vault => Ok(()),
        Purpose::Secret => files::read_secret(path).await.map(drop),
        Purpose::Signing => match files::read_secret(path).await {
            Ok(secret) => {
                webhook::key(secret.reveal()).map(drop).map_err(|why| format!("{}: {why}", path.display()))
            }
            Err(why) => Err(why),
        },
        Purpose::Authorities => match http::authorities(path) {
            Ok(none) if none.is_empty() => Err(format!("{} holds no certificate", path.display())),
            Ok(_) => Client::new(Some(path)).map(drop).map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        },
        Purpose::Places => match Geo::of(Some(path.to_owned())).look() {
            Ok(_) => Ok(()),
            Err(GeoError::File { source, .. }) if is_closed(&source) => return Err(Unfit::Closed),
            Err(why) => Err(why.to_string()),
        },
    }
    .map_err(Unfit::Wrong)
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::geo::mmdb::{database, flat};

    /// A directory of a test's own, which goes with it.
    struct Own(PathBuf);

    impl Own {
        fn new() -> Self {
            let own = std::env::temp_dir().join(format!("tidegate-named-{:032x}", rand::random::<u128>()));
            std::fs::create_dir(&own).unwrap();
            Self(own)
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            let path = self.0.join(name);
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
        }

        /// Settings that name one file of each sort in it.
        fn settings(&self) -> Config {
            let at = self.0.display();
            let text = format!(
                "[vault]\nkey = \"{at}/key\"\n[remote_access]\ngeoip = \"{at}/places\"\n\
                 [notify.mail]\nserver = \"mail.example.org\"\nfrom = \"a@example.org\"\nuser = \"a\"\n\
                 password_file = \"{at}/password\"\nca_file = \"{at}/ca\"\n\
                 [notify.webhook]\nurl = \"https://chat.example.org/x\"\nsecret_file = \"{at}/signing\"\n"
            );
            read(&text)
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn read(text: &str) -> Config {
        Config::read(text, Some(Vec::new())).unwrap()
    }

    /// Who runs this and is not root.
    const NOBODY_ELSE: Looker = Looker { credentials: false, root: false, account: None };

    #[tokio::test]
    async fn each_file_that_the_settings_name_is_looked_at_and_told_with_its_setting() {
        let own = Own::new();
        let config = own.settings();
        let settings = [
            ("vault.key", "key"),
            ("remote_access.geoip", "places"),
            ("notify.mail.password_file", "password"),
            ("notify.mail.ca_file", "ca"),
            ("notify.webhook.secret_file", "signing"),
        ];
        let all_are_told = |found: NamedFiles| {
            assert_eq!(found.wrong.len(), settings.len(), "{found:?}");
            for ((setting, file), told) in settings.iter().zip(&found.wrong) {
                assert!(told.starts_with(&format!("`{setting}`: ")), "{told}");
                assert!(told.contains(&own.0.join(file).display().to_string()), "{told}");
            }
        };
        all_are_told(config.look_as(&NOBODY_ELSE).await);
        for (_, file) in settings {
            own.put(file, b"!");
        }
        own.put("password", b"\n");
        all_are_told(config.look_as(&NOBODY_ELSE).await);

        let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
        own.put("key", &[7; 32]);
        own.put("places", &database(&[("192.0.2.0/24", flat("DE", "Bavaria"))]));
        own.put("password", b"correct horse\n");
        own.put("ca", made.cert.pem().as_bytes());
        own.put("signing", b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
        let found = config.look_as(&NOBODY_ELSE).await;
        assert!(found.wrong.is_empty() && found.notes.is_empty(), "{found:?}");
    }

    #[tokio::test]
    async fn a_credential_of_the_unit_is_not_looked_at_from_elsewhere_and_that_is_told() {
        let config = read(&format!("[vault]\nkey = \"{OF_UNITS}/tidegate-proxy.service/none-such\"\n"));
        let found = config.look_as(&NOBODY_ELSE).await;
        assert!(found.wrong.is_empty(), "{found:?}");
        assert!(
            found.notes.concat().contains("`vault.key`") && found.notes.concat().contains("not looked at")
        );
        // The unit itself has them.
        let found = config.look_as(&Looker { credentials: true, ..NOBODY_ELSE }).await;
        assert!(found.wrong.concat().contains("is not there") && found.notes.is_empty(), "{found:?}");
    }

    #[tokio::test]
    async fn root_is_told_what_the_units_account_may_not_read_and_where_there_is_none() {
        let own = Own::new();
        own.put("key", &[7; 32]);
        let config = read(&format!("[vault]\nkey = \"{}/key\"\n", own.0.display()));
        let of = own.0.metadata().unwrap().uid();
        let notes = async |account: Option<u32>| {
            let account = account.map(|user| UnitAccount { user, groups: Vec::new() });
            let found = config.look_as(&Looker { credentials: false, root: true, account }).await;
            assert!(found.wrong.is_empty(), "{found:?}");
            found.notes.concat()
        };
        assert!(notes(None).await.contains("there is no account `tidegate` here"));
        assert_eq!(notes(Some(of)).await, "");
        assert!(notes(Some(of + 1)).await.contains("`tidegate` may not read"));
        // Where nothing is named there is nothing to say.
        let found = read("").look_as(&Looker { credentials: false, root: true, account: None }).await;
        assert!(found.notes.is_empty(), "{found:?}");
    }
}
