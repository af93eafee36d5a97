use super::*;

#[test]
fn the_alternate_screen_leaves_the_main_one_as_it_was() {
    let mut screen = shown(6, 3, "$ vi\r\n\x1b[31m\x1b[?1049h\x1b[0mX\x1b[3;3Hedit");
    assert_eq!(rows(&screen), ["", "X", "  edit"]);
    assert!(screen.is_alternate());
    screen.write(b"\x1b[?1049l");
    assert_eq!((rows(&screen), at(&screen)), (vec!["$ vi".to_owned(), String::new(), String::new()], (1, 0)));
    screen.write(b"x");
    assert_eq!(screen.row(1).next().unwrap().style.foreground, Color::Indexed(1), "the style is back, too");
}

#[test]
fn each_screen_has_a_saved_cursor_of_its_own() {
    let mut screen = shown(6, 3, "\x1b[2;2H\x1b7\x1b[?47h\x1b[3;3H\x1b7\x1b[1;1H\x1b8");
    assert_eq!(at(&screen), (2, 2));
    screen.write(b"\x1b[?47l\x1b8");
    assert_eq!(at(&screen), (1, 1));
}

#[test]
fn nothing_scrolls_from_the_alternate_screen_into_the_main_one() {
    let mut screen = shown(4, 2, "a\r\nb\x1b[?1049h1\r\n2\r\n3\r\n4");
    assert_eq!(rows(&screen), ["3", "4"]);
    screen.write(b"\x1b[?1049l");
    screen.resize(Size { columns: 4, rows: 5 });
    assert_eq!(rows(&screen), ["a", "b", "", "", ""]);
}

#[test]
fn entering_twice_or_leaving_without_entering_changes_nothing() {
    assert_eq!(rows(&shown(4, 2, "ab\x1b[?1049hX\x1b[?1049hY")), ["  XY", ""]);
    assert_eq!(rows(&shown(4, 2, "ab\x1b[?1049lc")), ["abc", ""]);
}
