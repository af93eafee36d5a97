//! What may differ between worlds.

use std::net::Ipv4Addr;
use std::time::Duration;

/// What may differ between worlds.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a grant lives without word from the proxy.
    pub lease: Duration,
    /// Where agents reach the proxy.
    pub agents: Ipv4Addr,
    /// Listens for people and agents on `[::]`, as the proxy does by itself.
    pub dual: bool,
    /// No session starts when less is free where recordings go.
    pub free_floor: &'static str,
    /// The url of the store, where it is not a file in the proxy's state directory.
    pub store: Option<String>,
    /// What the proxy has in its environment beside the test's own.
    pub environment: Vec<(String, String)>,
    /// Lines for the end of the proxy's configuration.
    pub more: String,
    /// Recordings go to a tmpfs of so many bytes, when one is given.
    pub recordings_bytes: Option<u64>,
    /// All that the proxy keeps is on a tmpfs of so many bytes, when one is given.
    pub disk_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            agents: Ipv4Addr::UNSPECIFIED,
            dual: false,
            free_floor: "64 MiB",
            store: None,
            environment: Vec::new(),
            more: String::new(),
            recordings_bytes: None,
            disk_bytes: None,
        }
    }
}
