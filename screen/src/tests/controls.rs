use super::*;

const FIVE: &str = "1\r\n2\r\n3\r\n4\r\n5";

/// Five rows with a number in each, and then this.
fn five(bytes: &str) -> Vec<String> {
    rows(&shown(8, 5, format!("{FIVE}{bytes}")))
}

#[test]
fn a_scroll_region_scrolls_alone() {
    assert_eq!(five("\x1b[2;4r\x1b[4;1H\n"), ["1", "3", "4", "", "5"]);
    assert_eq!(five("\x1b[2;4r\x1b[2;1H\x1bM"), ["1", "", "2", "3", "5"]);
    assert_eq!(five("\x1b[2;4r\x1b[2S"), ["1", "4", "", "", "5"]);
    assert_eq!(five("\x1b[2;4r\x1b[T"), ["1", "", "2", "3", "5"]);
    assert_eq!(five("\x1b[1;3r\x1b[3;1H\n"), ["2", "3", "", "4", "5"]);
    // Below the region the last row stops.
    assert_eq!(five("\x1b[1;3r\x1b[5;2H\n\nx"), ["1", "2", "3", "4", "5x"]);
}

#[test]
fn lines_are_inserted_and_deleted_within_the_region() {
    assert_eq!(five("\x1b[2;4r\x1b[3;1H\x1b[L"), ["1", "2", "", "3", "5"]);
    assert_eq!(five("\x1b[2;4r\x1b[3;1H\x1b[M"), ["1", "2", "4", "", "5"]);
    assert_eq!(five("\x1b[1;1H\x1b[2M"), ["3", "4", "5", "", ""]);
    assert_eq!(five("\x1b[1;1H\x1b[9L"), ["", "", "", "", ""]);
    assert_eq!(five("\x1b[2;4r\x1b[5;1H\x1b[L"), ["1", "2", "3", "4", "5"], "outside of it nothing moves");
}

#[test]
fn with_origin_mode_rows_count_from_the_region() {
    assert_eq!(five("\x1b[2;4r\x1b[?6h\x1b[1;3Hx\x1b[9;4Hy"), ["1", "2 x", "3", "4  y", "5"]);
    assert_eq!(five("\x1b[2;4r\x1b[?6h\x1b[2d\x1b[5Gx"), ["1", "2", "3   x", "4", "5"]);
    assert_eq!(five("\x1b[2;4r\x1b[?6h\x1b[?6l\x1b[1;3Hx"), ["1 x", "2", "3", "4", "5"]);
}

#[test]
fn the_cursor_stops_at_the_margins() {
    assert_eq!(at(&shown(8, 5, "\x1b[2;4r\x1b[3;3H\x1b[9A")), (1, 2));
    assert_eq!(at(&shown(8, 5, "\x1b[2;4r\x1b[3;3H\x1b[9B")), (3, 2));
    assert_eq!(at(&shown(8, 5, "\x1b[2;4r\x1b[1;3H\x1b[9A")), (0, 2));
    assert_eq!(at(&shown(8, 5, "\x1b[2;4r\x1b[5;3H\x1b[9B")), (4, 2));
    assert_eq!(at(&shown(8, 5, "\x1b[3;3H\x1b[99C\x1b[D")), (2, 6));
    assert_eq!(at(&shown(8, 5, "\x1b[3;3H\x1b[E")), (3, 0));
    assert_eq!(at(&shown(8, 5, "\x1b[3;3H\x1b[F")), (1, 0));
    assert_eq!(at(&shown(8, 5, "\x1b[0;0H")), (0, 0));
    assert_eq!(at(&shown(8, 5, "\x1b[65535;65535H")), (4, 7));
}

#[test]
fn erasing_takes_the_background_of_the_pen() {
    let screen = shown(4, 2, "abcd\r\nefgh\x1b[1;3H\x1b[44m\x1b[J");
    assert_eq!(rows(&screen), ["ab", ""]);
    let background = |row: u16| screen.row(row).map(|cell| cell.style.background).collect::<Vec<_>>();
    let (none, blue) = (Color::Default, Color::Indexed(4));
    assert_eq!((background(0), background(1)), (vec![none, none, blue, blue], vec![blue; 4]));
}

#[test]
fn parts_of_the_screen_are_erased() {
    let text = "abcd\r\nefgh\r\nijkl\x1b[2;2H";
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[J"))), ["abcd", "e", ""]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[1J"))), ["", "  gh", "ijkl"]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[2J"))), ["", "", ""]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[K"))), ["abcd", "e", "ijkl"]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[1K"))), ["abcd", "  gh", "ijkl"]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[2K"))), ["abcd", "", "ijkl"]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[2X"))), ["abcd", "e  h", "ijkl"]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[2P"))), ["abcd", "eh", "ijkl"]);
    assert_eq!(rows(&shown(4, 3, format!("{text}\x1b[2@"))), ["abcd", "e  f", "ijkl"]);
}

#[test]
fn insert_mode_moves_what_stands_there() {
    assert_eq!(rows(&shown(6, 1, "abcd\x1b[1;2H\x1b[4hxy\x1b[4lz")), ["axyzcd"]);
}

#[test]
fn without_wrapping_the_last_column_is_written_again_and_again() {
    assert_eq!(rows(&shown(4, 2, "\x1b[?7labcdef")), ["abcf", ""]);
    assert_eq!(rows(&shown(4, 2, "\x1b[?7labcdef\x1b[?7hgh")), ["abcf", "gh"]);
}

#[test]
fn tabs_stop_where_they_are_set() {
    assert_eq!(rows(&shown(20, 1, "\ta\tb")), ["        a       b"]);
    assert_eq!(rows(&shown(20, 1, "\x1b[3g\x1b[1;4H\x1bH\x1b[1;1H\ta\tb")), ["   a               b"]);
    assert_eq!(rows(&shown(20, 1, "\x1b[1;9H\x1b[g\r\ta")), ["                a"]);
    assert_eq!(rows(&shown(20, 1, "\x1b[2Ia\x1b[Zb")), ["                b"]);
    assert_eq!(at(&shown(20, 1, "\x1b[65535I\x1b[65535Z")), (0, 0));
}

#[test]
fn a_character_is_repeated_at_most_for_a_row() {
    assert_eq!(rows(&shown(6, 2, "ab\x1b[2b")), ["abbb", ""]);
    assert_eq!(rows(&shown(6, 2, "漢\x1b[b")), ["漢漢", ""]);
    assert_eq!(rows(&shown(6, 3, "a\x1b[65535b")), ["aaaaaa", "a", ""]);
    assert_eq!(rows(&shown(6, 1, "\x1b[9b")), [""]);
    assert_eq!(rows(&shown(6, 1, "\x1b(0q\x1b(B\x1b[2b")), ["───"], "as it was shown, not as it was sent");
}

#[test]
fn the_cursor_is_saved_with_its_style_and_character_set() {
    let screen = shown(8, 2, "\x1b[1;3H\x1b[31m\x1b(0\x1b7\x1b[m\x1b(B\x1b[2;1Hq\x1b8q");
    assert_eq!(rows(&screen), ["  ─", "q"]);
    assert_eq!(screen.row(0).nth(2).unwrap().style.foreground, Color::Indexed(1));
    assert_eq!(at(&shown(8, 2, "\x1b[2;3H\x1b[s\x1b[H\x1b[u")), (1, 2));
}

#[test]
fn the_test_pattern_fills_the_screen_and_goes() {
    assert_eq!(rows(&shown(3, 2, "\x1b[2;2r\x1b#8")), ["EEE", "EEE"]);
    assert_eq!(rows(&shown(3, 2, "\x1b#8\x1b[1;2Hx\x1b[2;2H\x1b[K")), ["ExE", "E"]);
    assert_eq!(rows(&shown(3, 2, "\x1b#8\x1b[2J")), ["", ""]);
}

#[test]
fn resets_bring_back_what_was_at_the_start() {
    let screen = shown(4, 2, "ab\x1b[1;31;?25l\x1b[?25l\x1b[?5h\x1b[2;2r\x1b]4;1;#fff\x07\x1bcx");
    assert_eq!(rows(&screen), ["x", ""]);
    assert_eq!(screen.row(0).next().unwrap().style, Style::default());
    assert!(!screen.reverse());
    assert_eq!(screen.cursor().shape, Shape::Block);
    assert_eq!(screen.colors(), &Colors::default());
    let soft = shown(4, 3, "ab\x1b[2;3r\x1b[?6h\x1b[1m\x1b[4h\x1b[!p\x1b[1;1Hx");
    assert_eq!(rows(&soft), ["xb", "", ""]);
    assert!(!soft.row(0).next().unwrap().style.has(Attribute::Bold));
}

#[test]
fn the_cursor_has_a_shape() {
    for (bytes, shape) in [
        ("", Shape::Block),
        ("\x1b[4 q", Shape::Underline),
        ("\x1b[5 q", Shape::Bar),
        ("\x1b[5 q\x1b[ q", Shape::Block),
        ("\x1b[?25l", Shape::Hidden),
        ("\x1b[?25l\x1b[6 q\x1b[?25h", Shape::Bar),
    ] {
        assert_eq!(shown(4, 1, bytes).cursor().shape, shape, "{bytes:?}");
    }
}

#[test]
fn styles_are_those_of_the_standards() {
    let style = |bytes: &str| shown(4, 1, format!("{bytes}x")).row(0).next().unwrap().style;
    let plain = Style::default();
    let with = |attribute| plain.with(attribute);
    let foreground = |foreground| Style { foreground, ..plain };
    let underline = |underline| Style { underline, ..plain };
    for (bytes, expected) in [
        ("\x1b[1m", with(Attribute::Bold)),
        ("\x1b[2m", with(Attribute::Dim)),
        ("\x1b[3m", with(Attribute::Italic)),
        ("\x1b[4m", underline(Underline::Single)),
        ("\x1b[4:0m", plain),
        ("\x1b[4:3m", underline(Underline::Curly)),
        ("\x1b[4:4m", underline(Underline::Dotted)),
        ("\x1b[4:5m", underline(Underline::Dashed)),
        ("\x1b[21m", underline(Underline::Double)),
        ("\x1b[5m", with(Attribute::Blink)),
        ("\x1b[7m", with(Attribute::Reverse)),
        ("\x1b[8m", with(Attribute::Hidden)),
        ("\x1b[9m", with(Attribute::Strike)),
        ("\x1b[1;2;3;4;5;7;8;9m\x1b[22;23;24;25;27;28;29m", plain),
        ("\x1b[1;31m\x1b[m", plain),
        ("\x1b[35m", foreground(Color::Indexed(5))),
        ("\x1b[95m", foreground(Color::Indexed(13))),
        ("\x1b[38;5;200m", foreground(Color::Indexed(200))),
        ("\x1b[38:5:200m", foreground(Color::Indexed(200))),
        ("\x1b[38;2;1;2;3m", foreground(Color::Rgb(1, 2, 3))),
        ("\x1b[38:2:1:2:3m", foreground(Color::Rgb(1, 2, 3))),
        ("\x1b[38:2::1:2:3m", foreground(Color::Rgb(1, 2, 3))),
        ("\x1b[38;2;1;2;300m", plain),
        ("\x1b[38;2;1m", plain),
        ("\x1b[38;5;1;1m", foreground(Color::Indexed(1)).with(Attribute::Bold)),
        ("\x1b[42m", Style { background: Color::Indexed(2), ..plain }),
        ("\x1b[102m", Style { background: Color::Indexed(10), ..plain }),
        ("\x1b[31;42m\x1b[39;49m", plain),
        ("\x1b[58:2::1:2:3m", Style { underline_color: Some(Color::Rgb(1, 2, 3)), ..plain }),
        ("\x1b[58;5;9m\x1b[59m", plain),
    ] {
        assert_eq!(style(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn the_whole_screen_is_reversed_by_a_mode() {
    let mut screen = shown(4, 1, "a");
    screen.take_changes();
    screen.write(b"\x1b[?5h");
    assert!(screen.reverse() && screen.take_changes().all);
    screen.write(b"\x1b[?5l");
    assert!(!screen.reverse());
}

#[test]
fn a_synchronized_update_is_applied_at_once_and_said() {
    let mut screen = shown(4, 1, "\x1b[?2026hab");
    assert_eq!((screen.text().as_str(), screen.is_updating()), ("ab", true));
    screen.write(b"\x1b[?2026l");
    assert!(!screen.is_updating());
}
