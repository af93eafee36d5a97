//! Where keys are in a TOML text, for readers of other texts than resources.

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};

use super::Mistake;

/// Line and column of each key of a text, by its path: `listen.ssh`.
#[derive(Debug, Default)]
pub struct KeyIndex(HashMap<String, (usize, usize)>);

impl KeyIndex {
    /// Finds every key, and every error of syntax.
    #[must_use]
    pub fn of(text: &str) -> (Self, Vec<Mistake>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let at = |offset| line_and_column(text, offset);
        let mut keys = HashMap::new();
        walk(table.get_ref(), "", &mut |path, offset| {
            keys.insert(path, at(offset));
        });
        let mistakes = errors
            .iter()
            .map(|error| Mistake::at(at(error.span().map_or(0, |span| span.start)), error.message()));
        (Self(keys), mistakes.collect())
    }

    /// Where the key is, or the nearest thing around it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(usize, usize)> {
        let mut path = path;
        loop {
            match (self.0.get(path), path.rsplit_once('.')) {
                (Some(offset), _) => return Some(*offset),
                (None, Some((around, _))) => path = around,
                (None, None) => return None,
            }
        }
    }
}

/// Line and column of a byte, counted from 1; columns in characters.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

fn walk(table: &DeTable<'_>, around: &str, found: &mut impl FnMut(String, usize)) {
    for (key, value) in table {
        let path =
            if around.is_empty() { key.get_ref().to_string() } else { format!("{around}.{}", key.get_ref()) };
        if let DeValue::Table(inner) = value.get_ref() {
            walk(inner, &path, found);
        }
        found(path, key.span().start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_line_and_column() {
        let (keys, mistakes) = KeyIndex::of("a = 1\n[listen]\n  ssh = 2\n");
        assert_eq!(mistakes, []);
        assert_eq!(keys.get("a"), Some((1, 1)));
        assert_eq!(keys.get("listen.ssh"), Some((3, 3)));
        assert_eq!(keys.get("listen.nothing"), Some((2, 2)));
        assert_eq!(keys.get("nothing"), None);
    }
}
