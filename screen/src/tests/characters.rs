use super::*;

/// Characters with their marks and widths, without blanks at the end.
fn cells(screen: &Screen, row: u16) -> Vec<(String, Width)> {
    let cell = |cell: Cell<'_>| {
        (std::iter::once(cell.character).chain(cell.marks.iter().copied()).collect(), cell.width)
    };
    let mut cells: Vec<(String, Width)> = screen.row(row).map(cell).collect();
    while cells.last().is_some_and(|(text, width)| text == " " && *width == Width::Narrow) {
        cells.pop();
    }
    cells
}

fn wide(text: &str) -> Vec<(String, Width)> {
    vec![(text.to_owned(), Width::Wide), (" ".to_owned(), Width::Continuation)]
}

fn narrow(text: &str) -> Vec<(String, Width)> {
    vec![(text.to_owned(), Width::Narrow)]
}

#[test]
fn a_wide_character_takes_two_columns_and_wraps_whole() {
    let screen = shown(5, 2, "漢字漢");
    assert_eq!(cells(&screen, 0), [wide("漢"), wide("字")].concat());
    assert_eq!(cells(&screen, 1), wide("漢"));
    assert_eq!(screen.text(), "漢字\n漢");
    assert!(screen.is_wrapped(0));
}

#[test]
fn half_of_a_wide_character_overwritten_leaves_a_blank() {
    assert_eq!(rows(&shown(6, 1, "漢字\x1b[1;2Hx")), [" x字"]);
    assert_eq!(rows(&shown(6, 1, "漢字\x1b[1;3Hx")), ["漢x"]);
    assert_eq!(rows(&shown(6, 1, "漢字\x1b[1;2H漢")), [" 漢"]);
    assert_eq!(rows(&shown(6, 1, "漢字z\x1b[1;2H\x1b[P")), ["  字z"].map(|row| row[1..].to_owned()));
    assert_eq!(rows(&shown(6, 1, "漢字z\x1b[1;2H\x1b[X")), ["  字z"]);
    assert_eq!(rows(&shown(6, 1, "漢字z\x1b[1;2H\x1b[K")), [""]);
    assert_eq!(rows(&shown(6, 1, "漢字z\x1b[1;2H\x1b[1K")), ["  字z"]);
}

#[test]
fn a_wide_character_pushed_half_off_the_row_goes() {
    assert_eq!(rows(&shown(5, 1, "ab漢\x1b[1;1H\x1b[2@")), ["  ab"]);
    assert_eq!(rows(&shown(5, 1, "ab漢\x1b[1;1H\x1b[@")), [" ab漢"]);
}

#[test]
fn combining_characters_stay_with_the_one_before_them() {
    let screen = shown(9, 1, "e\u{301}a\u{308}\u{323}漢\u{302}z");
    let expected = [narrow("e\u{301}"), narrow("a\u{308}\u{323}"), wide("漢\u{302}"), narrow("z")];
    assert_eq!(cells(&screen, 0), expected.concat());
    // At the last column the cursor stands on the character, not behind it.
    assert_eq!(rows(&shown(2, 1, "ae\u{301}")), ["ae\u{301}"]);
    // Overwritten, they go too.
    assert_eq!(rows(&shown(3, 1, "e\u{301}\rx")), ["x"]);
    // There is nothing that they could be on.
    assert_eq!(rows(&shown(3, 1, "\u{301}x")), ["x"]);
}

#[test]
fn no_cell_keeps_more_marks_than_eight_and_no_mark_of_direction() {
    let screen = shown(4, 1, format!("a{}", "\u{301}".repeat(1000)));
    assert_eq!(screen.row(0).next().unwrap().marks, ['\u{301}'; MAX_MARKS]);
    assert_eq!(shown(4, 1, "a\u{202e}\u{200b}\u{2066}b").text(), "ab");
}

#[test]
fn marks_are_forgotten_with_their_cells() {
    let mut screen = shown(10, 2, "");
    let mark = |number: u32| char::from_u32(0x300 + number % 0x50).unwrap();
    for number in 0..300_000 {
        let marks: String =
            [mark(number), mark(number / 0x50), mark(number / 6400), mark(number / 512_000)].iter().collect();
        screen.write(format!("\rx{marks}").as_bytes());
    }
    screen.write("\re\u{301}\u{302}\u{303}\u{304}\u{301}".as_bytes());
    assert_eq!(screen.text(), "e\u{301}\u{302}\u{303}\u{304}\u{301}\n");
}

#[test]
fn emoji_take_what_wcwidth_says_and_their_parts_stand_apart() {
    let screen = shown(12, 1, "👩\u{200d}💻☁\u{fe0f}x🇩🇪");
    let parts = ["☁\u{fe0f}", "x", "🇩", "🇪"].map(narrow).concat();
    assert_eq!(cells(&screen, 0), [wide("👩\u{200d}"), wide("💻"), parts].concat());
    assert_eq!(at(&screen), (0, 8));
}

#[test]
fn with_graphemes_an_emoji_is_one() {
    let screen = shown(12, 1, "\x1b[?2027h👩\u{200d}💻☁\u{fe0f}x🇩🇪👍🏽z");
    let parts = [wide("👩\u{200d}💻"), wide("☁\u{fe0f}"), narrow("x"), wide("🇩🇪"), wide("👍🏽"), narrow("z")];
    assert_eq!(cells(&screen, 0), parts.concat());
}

#[test]
fn lines_are_drawn_by_the_graphics_set() {
    assert_eq!(rows(&shown(9, 1, "\x1b(0lqk\x1b(Bq\x1b)0\x0ex\x0fx")), ["┌─┐q│x"]);
    assert_eq!(rows(&shown(9, 1, "\x1b(A#\x1b(B#")), ["£#"]);
}

#[test]
fn what_is_no_utf_8_shows_as_a_replacement_wherever_it_is_cut() {
    let bytes = b"a\xffb\xe6\xbcc\xf0\x9f\x1b[1mz\xc3";
    let expected = "a\u{fffd}b\u{fffd}c\u{fffd}z";
    assert_eq!(rows(&shown(12, 1, bytes)), [expected]);
    let mut screen = shown(12, 1, "");
    bytes.chunks(1).for_each(|byte| screen.write(byte));
    assert_eq!(rows(&screen), [expected]);
    screen.write(b"\xa9A\xc3");
    assert_eq!(rows(&screen), [format!("{expected}éA")]);
}

#[test]
fn nuls_and_deletes_show_nothing() {
    assert_eq!(rows(&shown(5, 1, b"a\0\x7f\x05b")), ["ab"]);
}
