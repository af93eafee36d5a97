//! Settings as a tree of values from several sources, read key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use config::{Environment, File, FileFormat, Source as _, Value, ValueKind};
use tidegate_common::model::KeyIndex;
use tidegate_common::unseen::printable_lines;

const PREFIX: &str = "TIDEGATE";
const SEPARATOR: &str = "__";

/// Reads keys and collects mistakes.
pub(super) struct Reader {
    values: BTreeMap<String, Value>,
    /// Keys that the environment sets.
    overridden: BTreeSet<String>,
    keys: KeyIndex,
    known: BTreeSet<&'static str>,
    /// Line and column, then the sentence with both.
    mistakes: Vec<((usize, usize), String)>,
}

impl Reader {
    /// Takes the text, and over it the environment.
    pub fn new(text: &str, environment: Option<Vec<(String, String)>>) -> Result<Self, Vec<String>> {
        let (keys, syntax) = KeyIndex::of(text);
        if !syntax.is_empty() {
            return Err(syntax.iter().map(ToString::to_string).collect());
        }
        let variables = Environment::with_prefix(PREFIX)
            .prefix_separator(SEPARATOR)
            .separator(SEPARATOR)
            .source(environment.map(|set| set.into_iter().collect()));
        let told = |error: config::ConfigError| vec![printable_lines(&error.to_string())];
        let mut overridden = BTreeMap::new();
        flatten(&variables.collect().map_err(told)?.into(), "", &mut overridden);
        let file = File::from_str(text, FileFormat::Toml);
        let whole = config::Config::builder().add_source(file).add_source(variables).build().map_err(told)?;
        let mut values = BTreeMap::new();
        flatten(&whole.collect().map_err(told)?.into(), "", &mut values);
        Ok(Self {
            values,
            overridden: overridden.into_keys().collect(),
            keys,
            known: BTreeSet::new(),
            mistakes: Vec::new(),
        })
    }

    /// Takes note of a mistake at a key.
    pub fn wrong(&mut self, key: &str, why: impl Display) {
        if self.overridden.contains(key) {
            let variable = format!("{PREFIX}{SEPARATOR}{}", key.to_uppercase().replace('.', SEPARATOR));
            self.mistakes.push(((usize::MAX, 0), format!("environment variable {variable}: {why}")));
        } else {
            let (line, column) = self.keys.get(key).unwrap_or((1, 1));
            self.mistakes.push(((line, column), format!("line {line}, column {column}: {why}")));
        }
    }

    /// How many mistakes there are so far.
    pub fn mistakes(&self) -> usize {
        self.mistakes.len()
    }

    /// Whether a key is set at all.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    fn get(&mut self, key: &'static str) -> Option<ValueKind> {
        self.known.insert(key);
        self.values.get(key).map(|value| value.kind.clone())
    }

    /// A text, made into something by `parse`.
    pub fn optional<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = match self.get(key)? {
            ValueKind::String(text) => parse(&text).map_err(|why| format!("`{key}`: {why}")),
            _ => Err(format!("`{key}` must be a text in quotes")),
        };
        parsed.map_err(|why| self.wrong(key, why)).ok()
    }

    /// A text that parses by itself.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key, |text| text.parse().map_err(|error: T::Err| error.to_string())).unwrap_or(default)
    }

    /// An absolute path.
    pub fn path(&mut self, key: &'static str, default: PathBuf) -> PathBuf {
        let absolute = |text: &str| match PathBuf::from(text) {
            path if path.is_absolute() => Ok(path),
            _ => Err(format!("`{}` must be an absolute path", text.escape_default())),
        };
        self.optional(key, absolute).unwrap_or(default)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let flag = match self.get(key) {
            None => return default,
            Some(ValueKind::Boolean(flag)) => Some(flag),
            Some(ValueKind::String(text)) if self.overridden.contains(key) => text.parse().ok(),
            Some(_) => None,
        };
        flag.unwrap_or_else(|| {
            self.wrong(key, format!("`{key}` must be true or false"));
            default
        })
    }

    /// A whole number within bounds.
    pub fn number(&mut self, key: &'static str, default: usize, least: usize, most: usize) -> usize {
        let number = match self.get(key) {
            None => return default,
            Some(ValueKind::I64(number)) => usize::try_from(number).ok(),
            Some(ValueKind::String(text)) if self.overridden.contains(key) => text.parse().ok(),
            Some(_) => None,
        };
        number.filter(|number| (least..=most).contains(number)).unwrap_or_else(|| {
            self.wrong(key, format!("`{key}` must be a whole number between {least} and {most}"));
            default
        })
    }

    /// A list of texts; in the environment with commas between them.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = match self.get(key)? {
            ValueKind::Array(items) => items.into_iter().map(|item| item.kind).collect(),
            ValueKind::String(text) if self.overridden.contains(key) => {
                text.split(',').map(|item| ValueKind::String(item.trim().to_owned())).collect()
            }
            _ => vec![ValueKind::Nil],
        };
        let mut list = Vec::new();
        for item in items {
            let parsed = match item {
                ValueKind::String(text) => parse(&text).map_err(|why| format!("`{key}`: {why}")),
                _ => Err(format!("`{key}` must be a list of texts in quotes")),
            };
            match parsed {
                Ok(parsed) => list.push(parsed),
                Err(why) => self.wrong(key, why),
            }
        }
        Some(list)
    }

    /// Every mistake, keys that nobody knows among them.
    pub fn finish(mut self) -> Result<(), Vec<String>> {
        let unknown: Vec<_> =
            self.values.keys().filter(|key| !self.known.contains(key.as_str())).cloned().collect();
        let mut sections = BTreeSet::new();
        for key in unknown {
            let section = key.split_once('.').map(|(section, _)| section.to_owned());
            let is_known =
                |section: &str| self.known.iter().any(|key| key.starts_with(&format!("{section}.")));
            match section {
                Some(section) if !is_known(&section) && !self.overridden.contains(&key) => {
                    if sections.insert(section.clone()) {
                        self.wrong(&section, format!("`[{}]` is not a section", section.escape_default()));
                    }
                }
                _ => {
                    let known = self.known.iter().copied().collect::<Vec<_>>().join(", ");
                    self.wrong(&key, format!("`{}` is not a key; known are {known}", key.escape_default()));
                }
            }
        }
        if self.mistakes.is_empty() {
            return Ok(());
        }
        self.mistakes.sort();
        Err(self.mistakes.into_iter().map(|(_, sentence)| printable_lines(&sentence)).collect())
    }
}

fn flatten(value: &Value, around: &str, found: &mut BTreeMap<String, Value>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let path = if around.is_empty() { key.clone() } else { format!("{around}.{key}") };
                flatten(value, &path, found);
            }
        }
        _ => {
            found.insert(around.to_owned(), value.clone());
        }
    }
}
