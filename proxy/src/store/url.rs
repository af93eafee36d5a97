//! Where the store is: `store.url` of the settings.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Parameters of a PostgreSQL url, as libpq names them.
const PARAMETERS: [&str; 12] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
];

/// A database, parsed.
#[derive(Clone)]
pub enum StoreUrl {
    /// A file, `sqlite:<path>`.
    Sqlite(PathBuf),
    /// A database of a server, `postgres://…` as libpq takes it.
    Postgres(Box<PgConnectOptions>),
}

impl StoreUrl {
    /// Where its file is.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        let Self::Sqlite(path) = self else { return None };
        path.parent().filter(|parent| parent.is_absolute()).map(Path::to_owned)
    }
}

/// Never with a password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let (user, port) = (options.get_username(), options.get_port());
                let database = options.get_database().unwrap_or(user);
                match options.get_socket() {
                    Some(directory) => {
                        write!(
                            f,
                            "postgres:///{database}?user={user}&host={}&port={port}",
                            directory.display()
                        )
                    }
                    None => write!(f, "postgres://{user}@{}:{port}/{database}", options.get_host()),
                }
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    /// The sentence says what is wrong and nothing of the url, which may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path);
        }
        if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return postgres(text);
        }
        Err("write it as sqlite:/var/lib/tidegate/tidegate.db or postgres://tidegate@db.example.org/tidegate"
            .to_owned())
    }
}

fn sqlite(path: &str) -> Result<StoreUrl, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(':') || path.contains(['?', '\0']) {
        return Err("after sqlite: the path of a file is wanted, as in sqlite:/var/lib/tidegate/tidegate.db"
            .to_owned());
    }
    Ok(StoreUrl::Sqlite(PathBuf::from(path)))
}

fn postgres(text: &str) -> Result<StoreUrl, String> {
    let query = text.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let names: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .collect();
    let is_known = |name: &&&str| PARAMETERS.contains(*name) || name.starts_with("options[");
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let shown = tidegate_common::unseen::quoted(unknown, 40);
        return Err(format!("`{shown}` is no parameter of it; known are {}", PARAMETERS.join(", ")));
    }
    let mut options: PgConnectOptions = text
        .parse()
        .map_err(|_| "it is no url as PostgreSQL takes it (a character may have to be written as %40)")?;
    let has = |name: &str| names.contains(&name);
    // An environment that nobody thought of must not weaken it.
    if !has("sslmode") {
        let same_machine = options.get_socket().is_some()
            || options.get_host().starts_with('/')
            || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&options.get_host());
        options = options.ssl_mode(if same_machine { PgSslMode::Prefer } else { PgSslMode::VerifyFull });
    }
    if !has("application_name") {
        options = options.application_name("tidegate-proxy");
    }
    Ok(StoreUrl::Postgres(Box::new(options.disable_statement_logging())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<StoreUrl, String> {
        text.parse()
    }

    fn mode(text: &str) -> String {
        let Ok(StoreUrl::Postgres(options)) = url(text) else { panic!("{text}") };
        format!("{:?}", options.get_ssl_mode())
    }

    #[test]
    fn only_the_url_of_a_file_or_of_a_server_s_database_is_taken() {
        for (text, shown) in [
            ("sqlite:/a/b.db", "sqlite:/a/b.db"),
            ("sqlite:///a/b.db", "sqlite:/a/b.db"),
            ("postgres://gate@db01/tidegate", "postgres://gate@db01:5432/tidegate"),
            ("postgresql://gate@db01:6000/t", "postgres://gate@db01:6000/t"),
            (
                "postgres:///t?host=/run/postgresql&user=gate",
                "postgres:///t?user=gate&host=/run/postgresql&port=5432",
            ),
        ] {
            assert_eq!(url(text).unwrap().to_string(), shown);
        }
        for (text, why) in [
            ("sqlite::memory:", "path of a file"),
            ("sqlite:", "path of a file"),
            ("sqlite:/a?mode=ro", "path of a file"),
            ("/a/b.db", "write it as sqlite:"),
            ("mysql://a/b", "write it as sqlite:"),
            ("postgres://a:secret@b/c?colour=red", "`colour` is no parameter"),
            ("postgres://a:secret@[b/c", "no url as PostgreSQL takes it"),
            ("postgres://a:secret@b/c?sslmode=perhaps", "no url as PostgreSQL takes it"),
        ] {
            let said = url(text).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret"), "{text}: {said}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let shown = url("postgres://gate:secret@db01/t").unwrap();
        assert!(!format!("{shown} {shown:?}").contains("secret"), "{shown:?}");
    }

    #[test]
    fn a_server_elsewhere_is_verified_unless_the_url_says_otherwise() {
        assert_eq!(mode("postgres://gate@db01/t"), "VerifyFull");
        assert_eq!(mode("postgres://gate@192.0.2.7/t"), "VerifyFull");
        assert_eq!(mode("postgres://gate@db01/t?sslmode=require"), "Require");
        assert_eq!(mode("postgres://gate@localhost/t"), "Prefer");
        assert_eq!(mode("postgres:///t?host=/run/postgresql"), "Prefer");
    }
}
