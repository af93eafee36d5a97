use super::*;

#[test]
fn strings_that_are_not_for_the_eye_are_skipped() {
    for string in [
        "\x1bPq#0;2;0;0;0~~@@vv\x1b\\",
        "\x1b_Gf=24;AAAA\x1b\\",
        "\x1b^private\x1b\\",
        "\x1bXstart of string\x1b\\",
        "\x1b]8;;https://example.com\x1b\\",
        "\x1b]52;c;AAAA\x07",
        "\x1b]1337;File=:AAAA\x07",
        "\x1b]9;hello\x07",
        "\x1b]\x07",
        "\x1b]2\x07",
        "\x1b[?1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23;24;25;26;27;28;29;30;31;32;33;34h",
        "\x1b[999999999999999999999999z",
        "\x1b[c\x1b[6n\x1b[>c\x1b]11;?\x07\x1b[?u",
    ] {
        let screen = shown(8, 1, format!("a{string}b"));
        assert_eq!(rows(&screen), ["ab"], "{string:?}");
    }
}

#[test]
fn a_title_is_kept_without_controls_and_put_back() {
    let mut screen = shown(8, 1, "\x1b]2;one; \u{202e}two\x1b\\");
    assert_eq!(screen.title(), Some("one; two"));
    screen.write(b"\x1b[22;0t\x1b]0;other\x07");
    assert_eq!(screen.title(), Some("other"));
    screen.write(b"\x1b[23;0t");
    assert_eq!(screen.title(), Some("one; two"));
    screen.write(b"\x1b]2;\x07");
    assert_eq!(screen.title(), None);
    let long = shown(8, 1, format!("\x1b]2;{}\x07x", "é".repeat(100_000)));
    assert_eq!((long.title().unwrap().chars().count(), long.text().as_str()), (256, "x"));
}

#[test]
fn colors_of_the_terminal_are_set_and_reset() {
    let mut screen = shown(
        8,
        1,
        "\x1b]4;1;#102030;2;rgb:ff/80/00\x07\x1b]10;#fff;rgb:0000/8000/ffff\x07\x1b]12;#010203\x1b\\",
    );
    let colors = screen.colors().clone();
    assert_eq!(
        (colors.indexed(1), colors.indexed(2), colors.indexed(3)),
        (Some((16, 32, 48)), Some((255, 128, 0)), None)
    );
    assert_eq!(colors.foreground, Some((0xf0, 0xf0, 0xf0)));
    assert_eq!(colors.background, Some((0, 0x80, 255)));
    assert_eq!(colors.cursor, Some((1, 2, 3)));
    screen.write(b"\x1b]104;1\x07\x1b]110\x07\x1b]111\x07\x1b]112\x07\x1b]10;red\x07\x1b]4;999;#fff\x07");
    assert_eq!((screen.colors().indexed(1), screen.colors().indexed(2)), (None, Some((255, 128, 0))));
    assert_eq!(
        (screen.colors().foreground, screen.colors().background, screen.colors().cursor),
        (None, None, None)
    );
    screen.write(b"\x1b]104\x07");
    assert_eq!(screen.colors(), &Colors::default());
}
