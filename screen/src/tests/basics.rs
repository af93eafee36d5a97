use super::*;

#[test]
fn text_wraps_at_the_last_column_only_when_more_comes() {
    let mut screen = shown(5, 3, "hello");
    assert_eq!(
        (rows(&screen), at(&screen)),
        (vec!["hello".to_owned(), String::new(), String::new()], (0, 4))
    );
    screen.write(b"!");
    assert_eq!(
        (rows(&screen), at(&screen)),
        (vec!["hello".to_owned(), "!".to_owned(), String::new()], (1, 1))
    );
    assert!(screen.is_wrapped(0) && !screen.is_wrapped(1));
}

#[test]
fn a_full_screen_scrolls() {
    assert_eq!(rows(&shown(5, 3, "1\r\n2\r\n3\r\n4")), ["2", "3", "4"]);
}
