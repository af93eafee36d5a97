//! Reading one table: typed access to its keys, and a mistake for whatever is
//! missing, of the wrong type, out of shape or unknown.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{FieldOffsets, Mistake, Mistakes, Names};
use crate::model::{Kind, ResourceName};

/// Collects mistakes and where fields are while a text is read.
pub(super) struct Reader {
    /// Byte offset and sentence.
    pub mistakes: Vec<(usize, String)>,
    /// Resources that are written but could not be read.
    pub unreadable: Names,
    /// Where each resource and each of its fields is.
    pub offsets: FieldOffsets,
    here: HashMap<String, usize>,
}

impl Reader {
    pub fn new() -> Self {
        Self {
            mistakes: Vec::new(),
            unreadable: Names::new(),
            offsets: FieldOffsets::new(),
            here: HashMap::new(),
        }
    }

    pub fn wrong(&mut self, offset: usize, why: impl Into<String>) {
        self.mistakes.push((offset, why.into()));
    }

    /// Starts a resource: fields are remembered until [`Self::finish`].
    pub fn start(&mut self, offset: usize) -> usize {
        self.here = HashMap::from([(String::new(), offset)]);
        self.mistakes.len()
    }

    /// Ends a resource; says whether it was read without a mistake.
    pub fn finish(&mut self, kind: Kind, name: Option<&str>, started: usize) -> bool {
        let clean = self.mistakes.len() == started;
        if let Some(name) = name {
            let here = std::mem::take(&mut self.here);
            self.offsets.insert((kind, name.to_owned()), here);
            if !clean {
                self.unreadable.insert(ResourceName { kind, name: name.to_owned() });
            }
        }
        clean
    }

    /// Where a field of a resource is, or the nearest thing around it.
    pub fn offset(&self, of: &ResourceName, field: &str) -> Option<usize> {
        let fields = self.offsets.get(&(of.kind, of.name.clone()))?;
        let mut field = field;
        loop {
            if let Some(offset) = fields.get(field) {
                return Some(*offset);
            }
            field = field.rsplit_once('.').map_or("", |(around, _)| around);
        }
    }

    /// All mistakes in order, with lines and columns.
    pub fn report(mut self, text: &str) -> Mistakes {
        self.mistakes.sort();
        self.mistakes.dedup();
        let mut lines = vec![0];
        lines.extend(text.match_indices('\n').map(|(offset, _)| offset + 1));
        let mistakes = self.mistakes.into_iter().map(|(offset, why)| {
            let line = lines.partition_point(|start| *start <= offset);
            let start = lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
            let before = text.get(start..offset).unwrap_or_default();
            Mistake::at((line, before.chars().count() + 1), &why)
        });
        Mistakes(mistakes.collect())
    }
}

type Value<'t> = Spanned<DeValue<'t>>;

/// One table being read.
pub(in crate::model) struct Fields<'r, 't> {
    reader: &'r mut Reader,
    table: &'r DeTable<'t>,
    offset: usize,
    /// `user` or `[access_group.session]`, for sentences.
    what: &'static str,
    /// The path of this table within its resource, with a trailing dot, or empty.
    path: String,
    known: Vec<&'static str>,
}

impl<'r, 't> Fields<'r, 't> {
    pub(super) fn new(
        reader: &'r mut Reader,
        table: &'r DeTable<'t>,
        offset: usize,
        what: &'static str,
    ) -> Self {
        Self { reader, table, offset, what, path: String::new(), known: Vec::new() }
    }

    fn get(&mut self, key: &'static str) -> Option<&'r Value<'t>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        self.reader.here.insert(format!("{}{key}", self.path), value.span().start);
        Some(value)
    }

    fn wrong_type(&mut self, key: &str, value: &Value<'t>, wanted: &str) {
        let found = article(value.get_ref().type_str());
        self.reader
            .wrong(value.span().start, format!("`{key}` of {} must be {wanted}, not {found}", self.what));
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, key: &'static str, value: &Value<'t>) -> Option<T> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            // A date may be written without quotes.
            DeValue::Datetime(date) => date.to_string(),
            _ => {
                self.wrong_type(key, value, "a text in quotes");
                return None;
            }
        };
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.reader.wrong(value.span().start, format!("`{key}` of {}: {error}", self.what));
                None
            }
        }
    }

    /// Whether the key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text that must be there.
    pub fn required<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        match self.get(key) {
            Some(value) => self.parse(key, value),
            None => {
                let why = format!("{} has no `{key}`", self.what);
                self.reader.wrong(self.offset, why);
                None
            }
        }
    }

    /// A text that may be there.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let value = self.get(key)?;
        self.parse(key, value)
    }

    /// What was made of a key that was read, or why it could not be.
    pub fn made<T, E: Display>(&mut self, key: &'static str, made: Result<T, E>) -> Option<T> {
        match made {
            Ok(made) => Some(made),
            Err(error) => {
                let offset = self.table.get(key).map_or(self.offset, |value| value.span().start);
                self.reader.wrong(offset, format!("`{key}` of {}: {error}", self.what));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.get(key) else { return default };
        match value.get_ref() {
            DeValue::Boolean(flag) => *flag,
            _ => {
                self.wrong_type(key, value, "true or false");
                default
            }
        }
    }

    /// A whole number within bounds.
    pub fn number(&mut self, key: &'static str, default: u16, least: u16, most: u16) -> u16 {
        let Some(value) = self.get(key) else { return default };
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return default;
        };
        match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok().map(u16::try_from) {
            Some(Ok(number)) if (least..=most).contains(&number) => number,
            _ => {
                let why = format!("`{key}` of {} must be between {least} and {most}", self.what);
                self.reader.wrong(value.span().start, why);
                default
            }
        }
    }

    /// A list, each item read by `item`.
    pub fn list_of<T>(
        &mut self,
        key: &'static str,
        mut item: impl FnMut(&mut Self, &'r Value<'t>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list in [ ]");
            return Vec::new();
        };
        let mut read = Vec::with_capacity(items.len());
        for (index, value) in items.iter().enumerate() {
            self.reader.here.insert(format!("{}{key}.{index}", self.path), value.span().start);
            read.extend(item(self, value));
        }
        read
    }

    /// A list of texts.
    pub fn list<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Vec<T> {
        self.list_of(key, |fields, value| fields.parse(key, value))
    }

    /// A list of whatever serde reads.
    pub fn serde_list<T: serde::de::DeserializeOwned>(&mut self, key: &'static str) -> Vec<T> {
        self.list_of(key, |fields, value| {
            match T::deserialize(toml::de::ValueDeserializer::from(value.clone())) {
                Ok(read) => Some(read),
                Err(error) => {
                    let offset = error.span().map_or(value.span().start, |span| span.start);
                    let why = format!("`{key}` of {}: {}", fields.what, error.message());
                    fields.reader.wrong(offset, why);
                    None
                }
            }
        })
    }

    /// A table within this one, read by `read`.
    pub fn table<T>(
        &mut self,
        key: &'static str,
        what: &'static str,
        read: impl FnOnce(&mut Fields<'_, 't>) -> T,
    ) -> Option<T> {
        let value = self.get(key)?;
        self.within(key, what, value, read)
    }

    /// `value`, which belongs to `key`, as a table.
    pub fn within<T>(
        &mut self,
        key: &'static str,
        what: &'static str,
        value: &'r Value<'t>,
        read: impl FnOnce(&mut Fields<'_, 't>) -> T,
    ) -> Option<T> {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        let path = format!("{}{key}.", self.path);
        let offset = value.span().start;
        let mut fields = Fields { reader: &mut *self.reader, table, offset, what, path, known: Vec::new() };
        let read = read(&mut fields);
        fields.finish();
        Some(read)
    }

    /// A text, or a table read by `read`.
    pub fn text_or_table<T>(
        &mut self,
        key: &'static str,
        what: &'static str,
        value: &'r Value<'t>,
        text: impl FnOnce(&str) -> Result<T, String>,
        read: impl FnOnce(&mut Fields<'_, 't>) -> Option<T>,
    ) -> Option<T> {
        match value.get_ref() {
            DeValue::String(written) => match text(written) {
                Ok(read) => Some(read),
                Err(why) => {
                    self.reader.wrong(value.span().start, format!("`{key}` of {}: {why}", self.what));
                    None
                }
            },
            _ => self.within(key, what, value, read).flatten(),
        }
    }

    /// A mistake for every key that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            if !self.known.contains(&key.get_ref().as_ref()) {
                let known = self.known.join(", ");
                let shown = crate::unseen::quoted(key.get_ref(), 40);
                let why = format!("`{shown}` is not a key of {}; known are {known}", self.what);
                self.reader.wrong(key.span().start, why);
            }
        }
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}
