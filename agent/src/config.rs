//! The agent's configuration: `/etc/tidegate/agent.toml`, overridden by
//! `TIDEGATE_AGENT__SECTION__KEY`. Unknown keys are refused, all mistakes at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Environment, File, FileFormat, Map, Value, ValueKind};

use crate::paths::Paths;

/// Where it lies on a host.
pub const DEFAULT: &str = "/etc/tidegate/agent.toml";

/// What the agent can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `host:port` of the proxy's listener for agents.
    pub proxy: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log: String,
    /// Between TERM and KILL for what outlives its session.
    pub grace: Duration,
    pub witness: Watch,
    pub paths: Paths,
}

/// What the kernel is asked to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// What sessions run.
    Sessions,
    Nothing,
}

/// Why it cannot be used: always the administrator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    Read(#[from] config::ConfigError),
    #[error("{place}: {}", .mistakes.join("; "))]
    Mistakes { place: String, mistakes: Vec<String> },
}

impl Config {
    /// Reads the file, then the environment. The default file may be missing when
    /// the environment says what is needed.
    ///
    /// # Errors
    /// When a file that was named is missing, or anything in it is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_with(path, Path::new(DEFAULT), None)
    }

    fn load_with(
        path: Option<&Path>,
        default: &Path,
        environment: Option<Map<String, String>>,
    ) -> Result<Self, ConfigError> {
        let place = path.unwrap_or(default).to_path_buf();
        let missing = !place.exists();
        let file = File::from(place.as_path()).format(FileFormat::Toml).required(path.is_some());
        let overrides = Environment::with_prefix("TIDEGATE_AGENT")
            .prefix_separator("__")
            .separator("__")
            .source(environment);
        let read = config::Config::builder().add_source(file).add_source(overrides).build()?;
        let mut reading = Reading { missing, mistakes: Vec::new() };
        let config = reading.config(read.cache.into_table()?);
        match config {
            Some(config) if reading.mistakes.is_empty() => Ok(config),
            _ => {
                Err(ConfigError::Mistakes { place: place.display().to_string(), mistakes: reading.mistakes })
            }
        }
    }
}

/// Collects every mistake instead of stopping at the first.
struct Reading {
    /// There is no file.
    missing: bool,
    mistakes: Vec<String>,
}

impl Reading {
    fn config(&mut self, mut top: Map<String, Value>) -> Option<Config> {
        let proxy = self.text(&mut top, "", "proxy");
        if proxy.is_none() && self.missing {
            let told = "the file is missing; `tidegate-agent install` writes it, and TIDEGATE_AGENT__PROXY \
                        would say the same as `proxy` in it";
            self.mistakes.push(told.to_owned());
        } else if proxy.is_none() {
            self.mistakes.push("`proxy` is missing; write proxy = \"gate.example.org:7443\"".to_owned());
        }
        if proxy.as_ref().is_some_and(|proxy| !is_address(proxy)) {
            self.mistakes.push("`proxy` must be host:port, for example \"gate.example.org:7443\"".to_owned());
        }
        let mut log = self.section(&mut top, "log");
        let mut paths = self.section(&mut top, "paths");
        let mut processes = self.section(&mut top, "processes");
        let mut witness = self.section(&mut top, "witness");
        let standard = Paths::default();
        let level = self.text(&mut log, "log.", "level").unwrap_or_else(|| "info".to_owned());
        if !["error", "warn", "info", "debug", "trace"].contains(&level.as_str()) {
            self.mistakes.push("`log.level` must be error, warn, info, debug or trace".to_owned());
        }
        let grace = self.number(&mut processes, "processes.", "grace_millis").unwrap_or(500);
        if grace > 60_000 {
            self.mistakes.push("`processes.grace_millis` must be at most 60000".to_owned());
        }
        let watch = match self.text(&mut witness, "witness.", "watch").as_deref() {
            None | Some("sessions") => Watch::Sessions,
            Some("nothing") => Watch::Nothing,
            Some(_) => {
                self.mistakes.push("`witness.watch` must be sessions or nothing".to_owned());
                Watch::Nothing
            }
        };
        let config = Config {
            proxy: proxy.unwrap_or_default(),
            log: level,
            grace: Duration::from_millis(grace),
            witness: watch,
            paths: Paths {
                root: self.path(&mut paths, "root").unwrap_or(standard.root),
                etc: self.path(&mut paths, "etc").unwrap_or(standard.etc),
                state: self.path(&mut paths, "state").unwrap_or(standard.state),
                run: self.path(&mut paths, "run").unwrap_or(standard.run),
                proc: standard.proc,
            },
        };
        self.unknown(&top, "", "proxy, log, paths, processes, witness");
        self.unknown(&witness, "witness.", "watch");
        self.unknown(&log, "log.", "level");
        self.unknown(&paths, "paths.", "root, etc, state, run");
        self.unknown(&processes, "processes.", "grace_millis");
        Some(config)
    }

    fn text(&mut self, table: &mut Map<String, Value>, section: &str, key: &str) -> Option<String> {
        match table.remove(key)?.kind {
            ValueKind::String(text) => Some(text),
            _ => {
                self.mistakes.push(format!("`{section}{key}` must be a text in quotes"));
                None
            }
        }
    }

    fn number(&mut self, table: &mut Map<String, Value>, section: &str, key: &str) -> Option<u64> {
        let value = table.remove(key)?;
        let number = value.into_uint().ok();
        if number.is_none() {
            self.mistakes.push(format!("`{section}{key}` must be a whole number"));
        }
        number
    }

    fn path(&mut self, table: &mut Map<String, Value>, key: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(table, "paths.", key)?);
        if !path.is_absolute() {
            self.mistakes.push(format!("`paths.{key}` must be an absolute path"));
        }
        Some(path)
    }

    fn section(&mut self, table: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
        match table.remove(key).map(|value| value.kind) {
            Some(ValueKind::Table(section)) => section,
            Some(_) => {
                self.mistakes.push(format!("`{key}` must be a section: [{key}]"));
                Map::new()
            }
            None => Map::new(),
        }
    }

    fn unknown(&mut self, table: &Map<String, Value>, section: &str, known: &str) {
        let mut keys: Vec<&String> = table.keys().collect();
        keys.sort_unstable();
        for key in keys {
            let key = key.escape_default();
            self.mistakes.push(format!("`{section}{key}` is not known; known are {known}"));
        }
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let scratch = Scratch::new();
        let path = scratch.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        let pairs = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::load_with(Some(&path), Path::new(DEFAULT), Some(pairs.collect()))
    }

    #[test]
    fn the_example_in_config_is_right_and_says_the_defaults() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/agent.toml");
        let config =
            Config::load_with(Some(Path::new(example)), Path::new(DEFAULT), Some(Map::new())).unwrap();
        assert_eq!(config.paths, Paths::default());
        assert_eq!(config.grace, Duration::from_millis(500));
        assert_eq!(config.witness, Watch::Sessions);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let error =
            load("proxi = \"a:1\"\n[log]\nlevel = \"loud\"\n[paths]\nstate = \"x\"\n", &[]).unwrap_err();
        let text = error.to_string();
        for told in
            ["`proxy` is missing", "`proxi` is not known", "`log.level` must be", "`paths.state` must be"]
        {
            assert!(text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_said_to_be_and_the_environment_may_stand_in_for_it() {
        let scratch = Scratch::new();
        let default = scratch.path().join("agent.toml");
        let with = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Config::load_with(None, &default, Some(pairs.collect()))
        };
        let told = with(&[]).unwrap_err().to_string();
        assert!(told.contains("agent.toml: the file is missing"), "{told}");
        assert!(!told.contains("`proxy` is missing"), "{told}");
        assert_eq!(with(&[("TIDEGATE_AGENT__PROXY", "a:1")]).unwrap().proxy, "a:1");
        std::fs::write(&default, "").unwrap();
        let told = with(&[]).unwrap_err().to_string();
        assert!(told.contains("agent.toml: `proxy` is missing"), "{told}");
        let named = Config::load_with(Some(&scratch.path().join("none.toml")), &default, Some(Map::new()));
        assert!(named.unwrap_err().to_string().contains("not found"));
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let environment =
            [("TIDEGATE_AGENT__PROXY", "b:2"), ("TIDEGATE_AGENT__PROCESSES__GRACE_MILLIS", "7")];
        let config = load("proxy = \"a:1\"", &environment).unwrap();
        assert_eq!(config.proxy, "b:2");
        assert_eq!(config.grace, Duration::from_millis(7));
    }
}
