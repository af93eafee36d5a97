use proptest::prelude::*;

use super::*;

/// One thing that happens to a screen.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u8>),
    Resize(u32, u32),
}

fn sequence() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![4 => 0u16..12, 1 => Just(99), 1 => Just(65535)];
    let finals = proptest::sample::select(b"@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu".to_vec());
    (proptest::option::of(number.clone()), proptest::option::of(number), finals).prop_map(|(a, b, last)| {
        let text = |number: Option<u16>| number.map_or(String::new(), |number| number.to_string());
        format!("\x1b[{};{}{}", text(a), text(b), char::from(last)).into_bytes()
    })
}

fn known() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "a",
        "bc",
        "hello world",
        "漢",
        "字漢字",
        "e\u{301}",
        "\u{200d}",
        "\u{fe0f}",
        "👩",
        "🇩🇪",
        "☁\u{fe0f}",
        "\r\n",
        "\n",
        "\r",
        "\x08",
        "\t",
        "\x1b7",
        "\x1b8",
        "\x1bD",
        "\x1bM",
        "\x1bE",
        "\x1bH",
        "\x1bc",
        "\x1b#8",
        "\x1b(0",
        "\x1b(B",
        "\x0e",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[?47h",
        "\x1b[?47l",
        "\x1b[?6h",
        "\x1b[?6l",
        "\x1b[?7l",
        "\x1b[?7h",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[20h",
        "\x1b[?25l",
        "\x1b[?5h",
        "\x1b[?2027h",
        "\x1b[?2026h",
        "\x1b[44m",
        "\x1b[0m",
        "\x1b[1;31m",
        "\x1b[2;3r",
        "\x1b[r",
        "\x1b[!p",
        "\x1b]2;title\x07",
        "\x1b]4;1;#123456\x1b\\",
        "\x1b]104\x07",
        "\x1bPq#0\x1b\\",
        "\x1b_x\x1b\\",
        "\x1b[3 q",
        "\x1b[2J",
        "\x1b[3J",
        "\x1b[K",
        "\x1b[1K",
        "\x1b[1J",
    ];
    proptest::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => known(), 3 => sequence(), 1 => proptest::collection::vec(any::<u8>(), 0..6)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => bytes().prop_map(Step::Write),
        1 => (1u32..14, 1u32..8).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
    ]
}

fn screen() -> impl Strategy<Value = Screen> {
    (1u16..14, 1u16..8).prop_map(|(columns, rows)| Screen::new(Size { columns, rows }))
}

fn apply(screen: &mut Screen, step: &Step) {
    match step {
        Step::Write(bytes) => screen.write(bytes),
        Step::Resize(columns, rows) => screen.resize(Size::bounded(*columns, *rows)),
    }
}

type Seen = (char, Vec<char>, Width, Style);

/// All that is seen.
fn picture(screen: &Screen) -> Vec<Vec<Seen>> {
    let row = |row| {
        screen.row(row).map(|cell| (cell.character, cell.marks.to_vec(), cell.width, cell.style)).collect()
    };
    (0..screen.size().rows).map(row).collect()
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.size())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_comes_the_screen_is_one(mut screen in screen(), steps in proptest::collection::vec(step(), 0..60)) {
        for step in &steps {
            apply(&mut screen, step);
            let (Size { columns, rows }, cursor) = (screen.size(), screen.cursor());
            prop_assert!(cursor.row < rows && cursor.column < columns);
            for row in picture(&screen) {
                prop_assert_eq!(row.len(), usize::from(columns));
                for (place, cell) in row.iter().enumerate() {
                    let after = row.get(place + 1).map(|cell| cell.2);
                    prop_assert_eq!(cell.2 == Width::Wide, after == Some(Width::Continuation));
                    prop_assert!(cell.1.len() <= MAX_MARKS);
                }
                prop_assert!(row[0].2 != Width::Continuation);
            }
        }
    }

    #[test]
    fn cuts_in_what_is_written_change_nothing(
        mut whole in screen(),
        steps in proptest::collection::vec(step(), 0..40),
        every in 1usize..5,
    ) {
        let mut cut = Screen::new(whole.size());
        let mut waiting = Vec::new();
        for step in &steps {
            match step {
                Step::Write(bytes) => {
                    waiting.extend_from_slice(bytes);
                    bytes.chunks(every).for_each(|piece| cut.write(piece));
                }
                Step::Resize(..) => {
                    whole.write(&std::mem::take(&mut waiting));
                    apply(&mut whole, step);
                    apply(&mut cut, step);
                }
            }
        }
        whole.write(&waiting);
        prop_assert_eq!(picture(&whole), picture(&cut));
        prop_assert_eq!(whole.cursor(), cut.cursor());
        prop_assert_eq!(whole.title(), cut.title());
        prop_assert_eq!(whole.colors(), cut.colors());
    }

    #[test]
    fn what_is_not_said_to_change_looks_the_same(mut screen in screen(), steps in proptest::collection::vec(step(), 0..60)) {
        screen.take_changes();
        let mut before = picture(&screen);
        let mut cursor = screen.cursor();
        for step in &steps {
            apply(&mut screen, step);
            let changes = screen.take_changes();
            let after = picture(&screen);
            if !changes.all {
                for (row, (old, new)) in before.iter().zip(&after).enumerate() {
                    let span = changes.spans.iter().find(|span| usize::from(span.row) == row);
                    for (column, (old, new)) in old.iter().zip(new).enumerate() {
                        let said = span.is_some_and(|span| (usize::from(span.columns.start)..usize::from(span.columns.end)).contains(&column));
                        prop_assert!(said || old == new, "row {} column {}: {:?} became {:?}", row, column, old, new);
                    }
                }
                let said = |cursor: Cursor| changes.spans.iter().any(|span| span.row == cursor.row && span.columns.contains(&cursor.column));
                prop_assert!(cursor == screen.cursor() || said(cursor) && said(screen.cursor()));
            }
            before = after;
            cursor = screen.cursor();
        }
        prop_assert!(screen.take_changes().is_empty());
    }

    #[test]
    fn another_size_and_back_keeps_what_was_written(
        lines in proptest::collection::vec("[a-c漢]{0,30}", 1..8),
        columns in 2u16..20,
    ) {
        let text = lines.join("\r\n");
        let mut screen = shown(20, 40, &text);
        let (before, cursor) = (picture(&screen), screen.cursor());
        screen.resize(Size { columns, rows: 40 });
        screen.resize(Size { columns: 20, rows: 40 });
        prop_assert_eq!(picture(&screen), before);
        prop_assert_eq!(screen.cursor(), cursor);
    }
}
