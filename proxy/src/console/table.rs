//! Tables that fit the terminal: the widest columns give way first. Without a
//! terminal nothing is cut, so that other programs see all of it.

use tidegate_common::unseen::{is_unseen, printable};
use unicode_width::UnicodeWidthChar as _;

/// A heading and rows.
pub(super) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Columns that give way only after all others, the last of them first.
    kept: Vec<usize>,
}

const GAP: usize = 2;
const LEAST: usize = 6;

impl Table {
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self::headed(&heading)
    }

    /// The same where only the heading knows how many columns there are.
    pub fn headed(heading: &[&str]) -> Self {
        let heading = heading.iter().copied().map(str::to_owned).collect();
        Self { heading, rows: Vec::new(), kept: Vec::new() }
    }

    /// The same, where these columns give way only after all others, the last of them first.
    pub fn keeping<const N: usize>(self, columns: [usize; N]) -> Self {
        Self { kept: columns.to_vec(), ..self }
    }

    /// Adds a row. What could move the cursor is escaped, whoever wrote it.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.line(cells.into());
    }

    /// The same with as many cells as the heading has.
    pub fn line(&mut self, cells: Vec<String>) {
        let clean = |cell: String| cell.chars().map(printable).collect::<String>();
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As CSV (RFC 4180): heading and rows, whole.
    pub fn csv(&self) -> String {
        let line = |row: &Vec<String>| row.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",");
        let lines = std::iter::once(&self.heading).chain(&self.rows).map(|row| line(row) + "\r\n");
        lines.collect()
    }

    /// Lines without the last line's end.
    pub fn render(&self, columns: Option<usize>) -> String {
        let all = || std::iter::once(&self.heading).chain(&self.rows);
        let count = self.heading.len();
        let width = |place: usize| all().filter_map(|row| row.get(place)).map(|cell| length(cell)).max();
        let mut widths: Vec<usize> = (0..count).map(|place| width(place).unwrap_or_default()).collect();
        if let Some(columns) = columns {
            let room = columns.saturating_sub(GAP * count.saturating_sub(1));
            for kept in (0..=self.kept.len()).rev() {
                fit(&mut widths, self.kept.get(..kept).unwrap_or_default(), room);
            }
        }
        let lines = all().map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width));
            cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A cell; one that a spreadsheet would take for a formula has a quote before it.
fn csv_cell(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n']) || cell.starts_with(' ') || cell.ends_with(' ') {
        format!("\"{guard}{}\"", cell.replace('"', "\"\""))
    } else {
        format!("{guard}{cell}")
    }
}

/// JSON in which every character shows: what does not is written as its number, which says
/// the same to whoever reads it (RFC 8259, 7).
pub(super) fn printable_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        // Below U+0020 the writer has escaped what is in a string; the rest is its own layout.
        if (letter.is_ascii() && letter != '\u{7f}') || !is_unseen(letter) {
            text.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

/// The columns that a text takes on a terminal.
pub(super) fn length(cell: &str) -> usize {
    cell.chars().map(columns).sum()
}

/// The columns that a character takes.
pub(super) fn columns(letter: char) -> usize {
    letter.width().unwrap_or_default()
}

/// Makes columns narrower, the widest first, as far as need be; not those that are kept.
fn fit(widths: &mut [usize], kept: &[usize], room: usize) {
    let mut over = widths.iter().sum::<usize>().saturating_sub(room);
    while over > 0 {
        let others = widths.iter_mut().enumerate().filter(|(place, _)| !kept.contains(place));
        let Some(widest) = others.map(|(_, width)| width).max() else { return };
        if *widest <= LEAST {
            return;
        }
        *widest -= 1;
        over -= 1;
    }
}

fn pad(cell: &str, width: usize) -> String {
    let mut shown = cell.to_owned();
    if length(cell) > width {
        let mut left = width.saturating_sub(1);
        let fits = |letter: &char| {
            let taken = left.checked_sub(columns(*letter));
            left = taken.unwrap_or(left);
            taken.is_some()
        };
        shown = cell.chars().take_while(fits).collect();
        shown.push('…');
    }
    let rest = width.saturating_sub(length(&shown));
    shown.extend(std::iter::repeat_n(' ', rest));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["ID", "WHY"]);
        table.row(["1".to_owned(), "because of ticket 7, which is long".to_owned()]);
        table.row(["22".to_owned(), "\u{1b}[2Jno".to_owned()]);
        table
    }

    #[test]
    fn without_a_terminal_nothing_is_cut_and_nothing_moves_the_cursor() {
        let shown = table().render(None);
        assert_eq!(shown, "ID  WHY\n1   because of ticket 7, which is long\n22  \u{fffd}[2Jno");
    }

    #[test]
    fn on_a_terminal_the_widest_column_gives_way() {
        let shown = table().render(Some(20));
        assert!(shown.lines().all(|line| line.chars().count() <= 20), "{shown}");
        assert!(shown.contains("because of tick…"), "{shown}");
    }

    #[test]
    fn wide_characters_take_two_columns_and_are_not_cut_in_half() {
        let mut table = Table::new(["WHY", "ID"]);
        table.row(["データベース".to_owned(), "1".to_owned()]);
        table.row(["abc".to_owned(), "2".to_owned()]);
        assert_eq!(table.render(Some(20)), "WHY           ID\nデータベース  1\nabc           2");
        assert_eq!(table.render(Some(14)), "WHY         ID\nデータベ…   1\nabc         2");
        assert_eq!(table.render(Some(13)), "WHY        ID\nデータベ…  1\nabc        2");
    }

    #[test]
    fn a_column_that_is_kept_gives_way_last() {
        let render = |columns| {
            let mut table = Table::new(["NAME", "WHY"]).keeping([0]);
            table.row(["a-long-name@db01".to_owned(), "why it is".to_owned()]);
            table.render(Some(columns))
        };
        assert_eq!(render(24), "NAME              WHY\na-long-name@db01  why i…");
        assert_eq!(render(20), "NAME          WHY\na-long-name…  why i…");
        let mut table = Table::new(["NAME", "WHY", "OPEN"]).keeping([0, 2]);
        table.row(["ops@db01".to_owned(), "why it is so".to_owned(), "for an hour".to_owned()]);
        assert_eq!(table.render(Some(29)), "NAME      WHY     OPEN\nops@db01  why i…  for an hour");
        assert_eq!(table.render(Some(24)), "NAME      WHY     OPEN\nops@db01  why i…  for a…");
    }

    #[test]
    fn csv_keeps_every_cell_apart_and_holds_no_formula() {
        let mut table = Table::new(["USER", "WHY"]);
        table.row(["operator".to_owned(), "a, \"b\"".to_owned()]);
        table.row(["adam".to_owned(), "=HYPERLINK(1)".to_owned()]);
        let csv = "USER,WHY\r\noperator,\"a, \"\"b\"\"\"\r\nadam,'=HYPERLINK(1)\r\n";
        assert_eq!(table.csv(), csv);
    }

    #[test]
    fn json_says_the_same_and_shows_every_character() {
        let text = "x\u{7f}\u{202e}y\u{e0041}\u{1b}[2J";
        let value = serde_json::json!({ "a\u{9b}": text, "ü": ["語", "🙂", "\u{fe0f}"] });
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = printable_json(&text);
            let unseen: Vec<char> = shown.chars().filter(|one| *one != '\n' && is_unseen(*one)).collect();
            assert_eq!(unseen, Vec::<char>::new(), "{shown}");
            assert!(shown.contains("語") && shown.contains("🙂"), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
