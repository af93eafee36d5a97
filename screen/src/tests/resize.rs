use super::*;

fn resized(screen: &mut Screen, columns: u16, rows_: u16) -> Vec<String> {
    screen.resize(Size { columns, rows: rows_ });
    rows(screen)
}

#[test]
fn long_lines_are_broken_anew() {
    let mut screen = shown(10, 4, "abcdefghijklm\r\n$ ");
    assert_eq!(resized(&mut screen, 5, 4), ["abcde", "fghij", "klm", "$"]);
    assert_eq!(at(&screen), (3, 2));
    assert_eq!(resized(&mut screen, 20, 4), ["abcdefghijklm", "$", "", ""]);
    assert_eq!(at(&screen), (1, 2));
}

#[test]
fn lines_that_a_program_ended_are_not_joined() {
    let mut screen = shown(4, 3, "abcd\r\nefgh\r\n");
    assert_eq!(resized(&mut screen, 8, 3), ["abcd", "efgh", ""]);
}

#[test]
fn wide_characters_are_not_torn() {
    let mut screen = shown(8, 3, "漢字漢字");
    assert_eq!(resized(&mut screen, 5, 3), ["漢字", "漢字", ""]);
    assert_eq!(resized(&mut screen, 8, 3), ["漢字漢字", "", ""]);
    assert_eq!(resized(&mut screen, 3, 4), ["漢", "字", "漢", "字"]);
    let mut joined = shown(5, 2, "漢字漢");
    assert_eq!(
        resized(&mut joined, 9, 2),
        ["漢字漢", ""],
        "the column that was left free is no part of the line"
    );
}

#[test]
fn a_full_screen_stays_full_and_a_cleared_one_clear() {
    let mut full = shown(4, 3, "1\r\n2\r\n3\r\n4\r\n5");
    assert_eq!(resized(&mut full, 4, 4), ["2", "3", "4", "5"]);
    assert_eq!(at(&full), (3, 1));
    assert_eq!(resized(&mut full, 4, 2), ["4", "5"]);
    assert_eq!(resized(&mut full, 4, 6), ["1", "2", "3", "4", "5", ""]);
    let mut cleared = shown(4, 3, "1\r\n2\r\n3\r\n4\r\n5\x1b[H\x1b[2J$");
    assert_eq!(resized(&mut cleared, 4, 5), ["$", "", "", "", ""]);
}

#[test]
fn the_cursor_stays_in_sight_and_with_its_text() {
    let mut screen = shown(6, 4, "1\r\n2\r\nabcdef");
    assert_eq!(resized(&mut screen, 3, 2), ["abc", "def"]);
    assert_eq!(at(&screen), (1, 2));
    screen.write(b"!");
    assert_eq!(rows(&screen), ["def", "!"]);
    let mut behind = shown(10, 2, "ab\x1b[1;9H");
    assert_eq!((resized(&mut behind, 4, 2), at(&behind)), (vec!["ab".to_owned(), String::new()], (0, 3)));
}

#[test]
fn the_alternate_screen_is_cut_and_the_main_one_behind_it_broken_anew() {
    let mut screen = shown(8, 3, "abcdefgh\x1b[?1049h\x1b[1;1Hpqrstuvw\x1b[3;1Hlast");
    assert_eq!(resized(&mut screen, 4, 2), ["", "last"]);
    screen.write(b"\x1b[?1049l");
    assert_eq!(rows(&screen), ["abcd", "efgh"]);
    assert_eq!(at(&screen), (1, 3));
}

#[test]
fn margins_and_tabs_follow_the_size() {
    let mut screen = shown(8, 4, "\x1b[2;3r");
    screen.resize(Size { columns: 30, rows: 2 });
    screen.write(b"\x1b[1;1H\t\t\tx\r\n\ny");
    assert_eq!(rows(&screen), ["", "y"]);
    assert_eq!(at(&shown(30, 1, "\t\t\tx")), (0, 25));
}

#[test]
fn any_size_is_one_that_can_be() {
    assert_eq!(Size::bounded(0, 0), Size { columns: 80, rows: 24 });
    assert_eq!(Size::bounded(u32::MAX, 1), Size { columns: 1000, rows: 1 });
    assert_eq!(Screen::new(Size { columns: 0, rows: 65535 }).size(), Size { columns: 80, rows: 1000 });
    let mut one = shown(1, 1, "ab漢c");
    assert_eq!(rows(&one), ["c"]);
    assert_eq!(resized(&mut one, 3, 2), ["abc", ""]);
}
