//! A terminal's screen: any bytes, sizes and cuts. What is not said to change looks the same, and
//! no wide character is torn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_screen::{Screen, Size, Width};

fuzz_target!(|bytes: &[u8]| {
    let Some(([columns, rows], rest)) = bytes.split_first_chunk::<2>() else { return };
    let mut screen = Screen::new(Size { columns: u16::from(columns % 40), rows: u16::from(rows % 20) });
    let mut whole = Screen::new(screen.size());
    // 0xf8 is never part of a text: two bytes of a size follow it.
    for (place, part) in rest.split(|byte| *byte == 0xf8).enumerate() {
        let mut part = part;
        if place > 0
            && let Some(([columns, rows], after)) = part.split_first_chunk::<2>()
        {
            let size = Size::bounded(u32::from(*columns) % 60, u32::from(*rows) % 30);
            screen.resize(size);
            whole.resize(size);
            part = after;
        }
        whole.write(part);
        for piece in part.chunks(5) {
            let before = picture(&screen);
            screen.take_changes();
            screen.write(piece);
            let changes = screen.take_changes();
            let after = picture(&screen);
            for (row, (old, new)) in before.iter().zip(&after).enumerate() {
                let said = changes.all || changes.spans.iter().any(|span| usize::from(span.row) == row);
                assert!(said || old == new, "row {row} changed and nobody said so");
            }
        }
    }
    assert_eq!(picture(&screen), picture(&whole));
    let cursor = screen.cursor();
    assert!(cursor.row < screen.size().rows && cursor.column < screen.size().columns);
    for row in picture(&screen) {
        assert_eq!(row.len(), usize::from(screen.size().columns));
        for (place, cell) in row.iter().enumerate() {
            let after = row.get(place + 1).map(|cell| cell.1);
            assert_eq!(cell.1 == Width::Wide, after == Some(Width::Continuation));
        }
    }
    let _ = (screen.text(), screen.title().map(str::len));
});

fn picture(screen: &Screen) -> Vec<Vec<(char, Width, tidegate_screen::Style, usize)>> {
    let row = |row| {
        screen.row(row).map(|cell| (cell.character, cell.width, cell.style, cell.marks.len())).collect()
    };
    (0..screen.size().rows).map(row).collect()
}
