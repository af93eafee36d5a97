//! A host that holds accounts.

use serde::{Deserialize, Serialize};

use super::read::Fields;
use super::resources::{ResourceType, cell, joined};
use super::user::{is_yes, yes};
use super::{Label, Network, PublicKey};
use crate::as_text::as_text;
use crate::name::DeviceName;

/// sshd's own port (RFC 4251).
const SSH: u16 = 22;

/// One `[[device]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// As written after the `@` of a credential.
    pub name: DeviceName,
    /// A host name or an IP address to dial; the name itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// sshd's port.
    #[serde(default = "ssh", skip_serializing_if = "is_ssh")]
    pub port: u16,
    /// What it is: `Debian`, `MySQL`, … ("model" in criteria).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Label>,
    /// What kind of device: `server`, `router`, …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Label>,
    /// Where it is, or the website it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Label>,
    /// Free attributes for criteria.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Label>,
    /// Whether Tidegate's agent runs there.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub agent: bool,
    /// Host keys pinned by an administrator; with an agent, only those of them count that
    /// it vouches for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_keys: Vec<PublicKey>,
    /// From which addresses its sshd sees the gate come, where they are translated on the way; a
    /// session's certificate is taken from these alone. The gate's own where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_from: Vec<Network>,
}

fn ssh() -> u16 {
    SSH
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_ssh(port: &u16) -> bool {
    *port == SSH
}

impl Device {
    /// What to dial: a host name or an IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.address.as_ref().map_or(self.name.as_str(), Address::as_str)
    }
}

/// A host name (RFC 1123) or an IP address, without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host name or IP address; write it without a port, which has its own key")]
pub struct AddressError(String);

impl Address {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let host = text.len() <= 253 && text.split('.').all(label);
        if host || text.parse::<std::net::IpAddr>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError(crate::unseen::quoted(text, 64)))
        }
    }
}

as_text!(Address);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl ResourceType for Device {
    type Name = DeviceName;

    const HEADING: &'static [&'static str] = &["NAME", "ADDRESS", "PRODUCT", "TYPE", "SITE", "TAGS", "AGENT"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let address = fields.optional("address");
        let port = fields.number("port", 22, 1, u16::MAX);
        let (product, kind, site) =
            (fields.optional("product"), fields.optional("type"), fields.optional("site"));
        let tags = fields.list("tags");
        let agent = fields.flag("agent", true);
        let (host_keys, seen_from) = (fields.list("host_keys"), fields.list("seen_from"));
        Some(Self { name: name?, address, port, product, kind, site, tags, agent, host_keys, seen_from })
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            format!("{}:{}", self.host(), self.port),
            cell(self.product.as_ref()),
            cell(self.kind.as_ref()),
            cell(self.site.as_ref()),
            joined(&self.tags),
            if self.agent { "yes" } else { "no" }.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_or_an_ip_and_never_an_option_or_a_port() {
        for text in ["db01.example.org", "10.0.0.7", "fd00::7", "db01"] {
            assert!(text.parse::<Address>().is_ok(), "{text}");
        }
        for text in ["", "-oProxyCommand", "db01:22", "a b", "[fd00::7]", "a..b", "user@host"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
