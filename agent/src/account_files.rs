//! The account files (passwd(5), shadow(5), group(5)) and their lines: one for each name,
//! fields between colons. Every byte that is not asked for stays as it is.

use std::io;

use crate::paths::Paths;
use crate::text;

/// The files with a line for each account or group, in the order in which they are removed.
pub const FILES: [&str; 4] = ["gshadow", "group", "shadow", "passwd"];

/// The file's content; `None` where there is no such file.
pub fn read(paths: &Paths, file: &str) -> Result<Option<Vec<u8>>, String> {
    let path = paths.etc.join(file);
    match text::read(&path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} could not be read: {error}", path.display())),
    }
}

/// The fields of the name's line.
pub fn fields<'c>(content: &'c [u8], name: &str) -> Option<Vec<&'c [u8]>> {
    let line = content.split(|byte| *byte == b'\n').find(|line| is_of(line, name))?;
    Some(line.split(|byte| *byte == b':').collect())
}

/// The same, of one of the host's account files; `None` also where that cannot be read.
pub fn line_of(paths: &Paths, file: &str, name: &str) -> Option<Vec<Vec<u8>>> {
    let content = read(paths, file).ok()??;
    Some(fields(&content, name)?.into_iter().map(<[u8]>::to_vec).collect())
}

/// A number, as ids are written.
pub fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Whether any line has `value` in the field at `position`.
pub fn any(content: &[u8], position: usize, value: &str) -> bool {
    content
        .split(|byte| *byte == b'\n')
        .any(|line| line.split(|byte| *byte == b':').nth(position) == Some(value.as_bytes()))
}

/// The content with another value in one field; `None` when there is no such field.
pub fn with_field(content: &[u8], name: &str, position: usize, value: &[u8]) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = lines.iter_mut().find(|line| is_of(line, name))?;
    let mut fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    *fields.get_mut(position)? = value;
    *line = fields.join(&b':');
    Some(lines.join(&b'\n'))
}

/// The content with a line more at its end.
pub fn with_line(content: &[u8], line: &str) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    let end = match lines.last() {
        Some(&[]) => lines.len().saturating_sub(1),
        _ => lines.len(),
    };
    lines.insert(end, line.as_bytes());
    lines.join(&b'\n')
}

/// The content without the name's line: what it was before [`with_line`].
pub fn without_line(content: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    let position = lines.iter().rposition(|line| is_of(line, name))?;
    lines.remove(position);
    Some(lines.join(&b'\n'))
}

fn is_of(line: &[u8], name: &str) -> bool {
    line.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_that_came_and_went_leaves_every_byte(content in "([a-z]{1,4}:x:[0-9:]{0,6}\n?|\n){0,6}") {
            let with = with_line(content.as_bytes(), "tg-x:x:1:1:::");
            prop_assert_eq!(fields(&with, "tg-x").map(|fields| fields.len()), Some(7));
            prop_assert_eq!(without_line(&with, "tg-x"), Some(content.into_bytes()));
        }

        #[test]
        fn a_field_that_was_changed_and_put_back_leaves_every_byte(content in "(ops:[!xÿ]{0,2}:[0-9:]{0,6}\n|\n|b::\n){0,6}") {
            // Latin-1: one byte that is no UTF-8 for each.
            let content: Vec<u8> = content.chars().map(|letter| u8::try_from(letter).unwrap()).collect();
            if let Some(before) = fields(&content, "ops").and_then(|fields| fields.get(1).map(|field| field.to_vec())) {
                let changed = with_field(&content, "ops", 1, b"*").unwrap();
                prop_assert_eq!(with_field(&changed, "ops", 1, &before), Some(content));
            }
        }
    }
}
