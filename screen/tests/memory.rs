//! Whatever is written, a screen's memory is bounded by its size.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Mutex;

use tidegate_screen::{Screen, Size};

/// One test at a time: they measure the memory of all.
static ALONE: Mutex<()> = Mutex::new(());

/// Memory of this process, in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Writes `start`, then `again` until so many bytes are written; returns how much memory it took.
fn grown(screen: &mut Screen, start: &str, again: &[u8], bytes: usize) -> usize {
    let before = memory();
    screen.write(start.as_bytes());
    let piece = again.repeat(64 * 1024 / again.len() + 1);
    for _ in 0..bytes / piece.len() {
        screen.write(&piece);
    }
    memory().saturating_sub(before)
}

#[test]
fn strings_without_end_take_no_memory() {
    let _alone = ALONE.lock();
    for start in ["\x1b]2;", "\x1b]4;", "\x1bPq", "\x1b_", "\x1b^", "\x1bX", "\x1b[", "\x1b]8;;"] {
        let mut screen = Screen::new(Size::USUAL);
        let took = grown(&mut screen, start, b"9;", 16 << 20);
        assert!(took < 8 << 20, "{start:?} took {took} bytes");
    }
}

#[test]
fn marks_without_end_take_no_memory() {
    let _alone = ALONE.lock();
    let mut screen = Screen::new(Size::USUAL);
    let marks: String = (0..0x60).filter_map(|add| char::from_u32(0x300 + add)).collect();
    let took = grown(&mut screen, "a", format!("{marks}x\u{301}y").as_bytes(), 8 << 20);
    assert!(took < 16 << 20, "took {took} bytes");
}

#[test]
fn the_largest_screen_full_of_everything_is_bounded() {
    let _alone = ALONE.lock();
    let before = memory();
    let mut screen = Screen::new(Size { columns: 1000, rows: 1000 });
    let row = "\x1b[38;2;1;2;3;48;5;9;4:3;58;2;1;1;1mx\u{301}".to_owned() + &"y".repeat(999);
    for _ in 0..3000 {
        screen.write(row.as_bytes());
    }
    screen.write(b"\x1b[?1049h");
    for _ in 0..1000 {
        screen.write(row.as_bytes());
    }
    let took = memory().saturating_sub(before);
    assert!(took < 100 << 20, "took {took} bytes");
}
