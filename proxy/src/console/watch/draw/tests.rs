use proptest::prelude::*;
use tidegate_screen::Size as ScreenSize;

use super::*;

/// All that can be seen of a screen, up to a size.
fn seen(screen: &Screen, rows: u16, columns: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for row in 0..rows {
        let cells = screen.row(row).take(columns.into());
        lines.push(cells.map(|cell| format!("{cell:?}")).collect::<Vec<_>>().join("|"));
    }
    let cursor = screen.cursor();
    let shown = cursor.shape != Shape::Hidden;
    lines.push(format!("{} {} {shown}", cursor.row, cursor.column));
    lines
}

fn size(columns: u32, rows: u32) -> Size {
    Size { columns, rows }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "\x1b[1;31mred\x1b[0m",
        "\x1b[38;5;200mx",
        "\x1b[48;2;1;2;3my",
        "\x1b[4:3;58;5;9mz",
        "\x1b[21m",
        "\x1b[7m",
        "\x1b[H",
        "\x1b[2J",
        "\x1b[5;7H",
        "\x1b[K",
        "\x1b[?25l",
        "\x1b[?25h",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[?5h",
        "\x1b[?5l",
        "\x1b[L",
        "\x1b[3P",
        "漢字",
        "e\u{301}",
        "\r\n",
        "\x1b[97;104m",
        "long line of text ",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #[test]
    fn a_watcher_sees_the_same_screen_however_often_it_was_drawn(
        pieces in proptest::collection::vec(piece(), 0..60),
        draws in proptest::collection::vec(any::<bool>(), 60),
        resized in proptest::option::of((1u16..30, 1u16..12, 0usize..60)),
    ) {
        let mut shown = Screen::new(ScreenSize { columns: 20, rows: 8 });
        let mut watcher = Screen::new(ScreenSize { columns: 40, rows: 14 });
        let mut drawing = Drawing::default();
        watcher.write(drawing.begin("operator on ops@db01").as_bytes());
        for (place, piece) in pieces.iter().enumerate() {
            if let Some((columns, rows, _)) = resized.filter(|(.., when)| *when == place) {
                shown.resize(ScreenSize { columns, rows });
            }
            shown.write(piece);
            if draws[place] {
                watcher.write(drawing.draw(&mut shown, size(40, 14)).as_bytes());
            }
        }
        let reverse = shown.reverse();
        watcher.write(drawing.draw(&mut shown, size(40, 14)).as_bytes());
        let ScreenSize { columns, rows } = shown.size();
        if reverse {
            let (theirs, ours) = (shown.text(), part_text(&watcher, rows));
            prop_assert_eq!(theirs.trim_end(), ours.trim_end());
        } else {
            prop_assert_eq!(seen(&shown, rows, columns), seen(&watcher, rows, columns));
        }
    }
}

fn part_text(screen: &Screen, rows: u16) -> String {
    screen.text().lines().take(rows.into()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_smaller_terminal_shows_what_is_around_the_cursor() {
    let mut shown = Screen::new(ScreenSize { columns: 100, rows: 30 });
    for row in 1..=30 {
        shown.write(format!("\x1b[{row};1Hrow {row}").as_bytes());
    }
    let mut watcher = Screen::new(ScreenSize { columns: 40, rows: 10 });
    let mut drawing = Drawing::default();
    watcher.write(drawing.begin("x").as_bytes());
    watcher.write(drawing.draw(&mut shown, size(40, 10)).as_bytes());
    assert!(watcher.text().starts_with("row 21\nrow 22"), "{}", watcher.text());
    assert!(watcher.text().ends_with("row 30"), "{}", watcher.text());
    shown.write(b"\x1b[1;1H");
    watcher.write(drawing.draw(&mut shown, size(40, 10)).as_bytes());
    assert!(watcher.text().starts_with("row 1\n"), "{}", watcher.text());
}

#[test]
fn what_programs_send_to_the_terminal_reaches_no_watcher() {
    let mut shown = Screen::new(ScreenSize { columns: 20, rows: 4 });
    shown.write(b"\x1b]52;c;aGk=\x07\x1b]0;evil\x07\x1b[c\x1b[6n\x1bP+q\x1b\\text");
    let mut drawing = Drawing::default();
    let begun = drawing.begin("a\x1b]0;b\x07");
    assert_eq!(begun, format!("{BEGIN}\x1b]2;a]0;b\x07"));
    let drawn = drawing.draw(&mut shown, size(80, 24));
    assert!(drawn.contains("text") && !drawn.contains("evil") && !drawn.contains("aGk"), "{drawn:?}");
    assert!(!drawn.contains("\x1b]") && !drawn.contains("\x1bP"), "{drawn:?}");
}
