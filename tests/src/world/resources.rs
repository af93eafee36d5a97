//! Resources of a world with what is known only once it stands.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::client::Client;

/// A resource file with what is known only now: its users' keys, as
/// [`Client::public_key`] has them, and where its devices are.
pub fn with_resources(resources: &str, client: &Client, devices: &[(&str, SocketAddr)]) -> Result<String> {
    let mut table: toml::Table = toml::from_str(resources)?;
    for user in entries(&mut table, "user") {
        let name = user.get("name").and_then(toml::Value::as_str).context("a user without a name")?;
        let key = client.public_key(name)?;
        user.insert("keys".to_owned(), vec![key].into());
    }
    for device in entries(&mut table, "device") {
        let name = device.get("name").and_then(toml::Value::as_str).context("a device without a name")?;
        if let Some((_, address)) = devices.iter().find(|(known, _)| *known == name) {
            device.insert("address".to_owned(), address.ip().to_string().into());
            device.insert("port".to_owned(), i64::from(address.port()).into());
        }
    }
    Ok(toml::to_string(&table)?)
}

fn entries<'a>(table: &'a mut toml::Table, kind: &str) -> impl Iterator<Item = &'a mut toml::Table> {
    let all = table.get_mut(kind).and_then(toml::Value::as_array_mut);
    all.into_iter().flatten().filter_map(toml::Value::as_table_mut)
}

/// The token in what `agent token` said.
pub fn token_in(said: &str) -> Result<String> {
    let token = said.split_whitespace().find(|word| word.starts_with("tg1."));
    Ok(token.with_context(|| format!("no token in:\n{said}"))?.to_owned())
}
