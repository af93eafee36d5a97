//! Known screens, drawn with the font that is compiled in: the same pixels everywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::path::Path;

use tidegate_common::recording::{Recording, What};
use tidegate_screen::{Screen, Size};
use tidegate_video::draw::picture::Picture;
use tidegate_video::draw::planes::Planes;
use tidegate_video::draw::stage::{CursorStyle, Stage};
use tidegate_video::draw::{Glyphs, Tiles, theme};
use tidegate_video::fonts::{self, Fonts};
use tidegate_video::survey::micros;

fn stage(columns: u16, rows: u16, text_size: u16, bar: bool) -> Stage {
    let tiles = Tiles::new(Glyphs::new(Fonts::compiled_in()), text_size);
    Stage::new(tiles, theme::DARK, CursorStyle::Program, Size { columns, rows }, bar)
}

fn drawn(columns: u16, rows: u16, shown: &str) -> Picture {
    let mut stage = stage(columns, rows, 17, true);
    let (width, height) = stage.pixels();
    let mut picture = Picture::new(width, height);
    stage.prepare(&mut picture);
    let mut screen = Screen::new(Size { columns, rows });
    screen.write(shown.as_bytes());
    let mut bar = stage.bar();
    bar.write(b" \x1b[1;33mALTERED\x1b[m alice ops@db01\x1b[?25l");
    stage.draw(&mut screen, &mut bar, &mut picture);
    picture
}

/// Compares a picture with the one that is kept; `GOLDEN=write` keeps it.
fn golden(name: &str, picture: &Picture) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.png"));
    let mut file = Vec::new();
    tidegate_video::png::write(picture, &mut file).unwrap();
    if std::env::var_os("GOLDEN").is_some_and(|wish| wish == "write") {
        std::fs::write(&path, &file).unwrap();
    }
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut kept = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut kept).unwrap();
    let size = (picture.width(), picture.height());
    assert_eq!((info.width as usize, info.height as usize), size, "{name} has another size");
    let bytes = picture.bytes();
    let differing = bytes.iter().zip(&kept).position(|(now, kept)| now != kept).map(|at| at / 3);
    if let Some(at) = differing {
        let now = std::env::temp_dir().join(format!("{name}.png"));
        std::fs::write(&now, &file).unwrap();
        panic!("{name} differs at {}, {}; see {}", at % size.0, at / size.0, now.display());
    }
}

#[test]
fn styles_and_colours_look_as_they_did() {
    golden(
        "styles",
        &drawn(
            40,
            8,
            "\x1b[31mred\x1b[m \x1b[1;34mbold\x1b[m \x1b[3mitalic\x1b[m \x1b[1;3mboth\x1b[m \x1b[2mdim\x1b[m \
             \x1b[7mreverse\x1b[m\r\n\x1b[9mstrike\x1b[m \x1b[5mblink\x1b[m \x1b[8mhidden\x1b[m|\r\n\
             \x1b[4mone\x1b[m \x1b[4:2mtwo\x1b[m \x1b[4:3mcurly\x1b[m \x1b[4:4mdots\x1b[m \x1b[4:5mdash\x1b[m \
             \x1b[4:3;58;2;255;80;80mred\x1b[m\r\n\x1b[38;5;208m256\x1b[m \x1b[48;5;25m256\x1b[m \
             \x1b[38;2;1;200;100mtrue\x1b[m \x1b[48;2;80;0;80mtrue\x1b[m \x1b[97;41m97\x1b[m\r\n\
             e\u{301} a\u{308} n\u{303} Ελληνικά Русский\r\n\x1b[5 q",
        ),
    );
}

#[test]
fn boxes_blocks_and_dots_look_as_they_did() {
    golden(
        "shapes",
        &drawn(
            40,
            8,
            "┌─┬┐╔═╦╗┏━┳┓╭─╮╒═╤╕╓─╥╖┄┅┈┉╌╍╱╲╳\r\n│a││║b║║┃c┃┃│d││e││║f║║┆┇┊┋╎╏╴╵╶╷╸╹╺╻\r\n\
             ├─┼┤╠═╬╣┣━╋┫╰─╯╞═╪╡╟─╫╢┝┞┟┠┡┢┥┦┧┨┩┪┭┮\r\n└─┴┘╚═╩╝┗━┻┛   ╘═╧╛╙─╨╜╼╽╾╿\r\n\
             ▁▂▃▄▅▆▇█▉▊▋▌▍▎▏▐░▒▓▔▕▖▗▘▙▚▛▜▝▞▟▀\r\n⠁⠃⠇⡇⣇⣧⣷⣿⠿ \u{1fb00}\u{1fb0f}\u{1fb14}\u{1fb15}\u{1fb28}\u{1fb3b}\
             \u{e0b0}\u{e0b1}\u{e0b2}\u{e0b3}\u{e0b4}\u{e0b5}\u{e0b6}\u{e0b7}\u{e0b8}\u{e0ba}\u{e0bc}\u{e0be}",
        ),
    );
}

#[test]
fn what_no_font_has_is_a_hollow_box_over_the_cells_it_takes() {
    golden("missing", &drawn(12, 3, "漢字|\r\n\u{e5ff}|\r\n😀|"));
}

#[test]
fn wide_characters_and_emoji_are_drawn_where_a_font_has_them() {
    for font in ["opentype/noto/NotoSansCJK-Regular.ttc", "truetype/noto/NotoColorEmoji.ttf"] {
        if !Path::new(fonts::DIRECTORY).join(font).is_file() {
            println!("SKIPPED wide characters and emoji: {font} is not installed");
            return;
        }
    }
    let size = Size { columns: 4, rows: 1 };
    let with = |fonts: Fonts, shown: &str| {
        let tiles = Tiles::new(Glyphs::new(fonts), 17);
        let mut stage = Stage::new(tiles, theme::DARK, CursorStyle::Hidden, size, false);
        let (width, height) = stage.pixels();
        let mut picture = Picture::new(width, height);
        stage.prepare(&mut picture);
        let (mut bar, mut screen) = (stage.bar(), Screen::new(size));
        screen.write(shown.as_bytes());
        stage.draw(&mut screen, &mut bar, &mut picture);
        // The pixels of each cell.
        (0..4_u16)
            .map(|column| {
                let ((x, y), (wide, high)) = stage.cell(column, 0);
                let row = |row: usize| {
                    picture.bytes()[(row * width + x) * 3..(row * width + x + wide) * 3].to_vec()
                };
                (y..y + high).flat_map(row).collect::<Vec<u8>>()
            })
            .collect::<Vec<_>>()
    };
    let found = |shown: &str| with(Fonts::find(Path::new(fonts::DIRECTORY), None).unwrap(), shown);
    let empty = found("");
    for wide in ["漢", "😀"] {
        let (drawn, hollow) = (found(wide), with(Fonts::compiled_in(), wide));
        for cell in [0, 1] {
            assert!(drawn[cell] != empty[cell], "{wide} takes both of its cells");
            assert!(drawn[cell] != hollow[cell], "{wide} is no hollow box");
        }
        assert!(drawn[2..] == empty[2..], "{wide} takes no other");
    }
    let is_coloured = |cells: &[Vec<u8>]| {
        let mut pixels = cells.iter().flat_map(|cell| cell.chunks_exact(3));
        pixels.any(|pixel| pixel.iter().max().unwrap() - pixel.iter().min().unwrap() > 100)
    };
    assert!(is_coloured(&found("😀")) && !is_coloured(&found("漢")));
}

#[test]
fn each_cursor_is_where_the_program_put_it() {
    let shape = |number: u8| drawn(6, 2, &format!("abc\x1b[{number} q\x1b[D"));
    golden("cursor-block", &shape(2));
    golden("cursor-underline", &shape(4));
    golden("cursor-bar", &shape(6));
}

#[test]
fn a_smaller_screen_stands_at_the_upper_left_of_the_canvas() {
    let mut stage = stage(20, 6, 17, false);
    let (width, height) = stage.pixels();
    let mut picture = Picture::new(width, height);
    stage.prepare(&mut picture);
    let mut bar = stage.bar();
    let mut screen = Screen::new(Size { columns: 20, rows: 6 });
    screen.write(b"large\r\n\n\n\n\nlast");
    stage.draw(&mut screen, &mut bar, &mut picture);
    screen.resize(Size { columns: 10, rows: 3 });
    assert!(stage.draw(&mut screen, &mut bar, &mut picture));
    golden("smaller", &picture);
}

#[test]
fn only_what_looks_otherwise_is_drawn() {
    let mut stage = stage(20, 4, 17, true);
    let (width, height) = stage.pixels();
    let mut picture = Picture::new(width, height);
    stage.prepare(&mut picture);
    let (mut bar, mut screen) = (stage.bar(), Screen::new(Size { columns: 20, rows: 4 }));
    screen.write(b"text\x1b[?25l");
    assert!(stage.draw(&mut screen, &mut bar, &mut picture));
    let before = picture.clone();
    // The same text once more, and another colour of what cannot be seen.
    screen.write(b"\x1b[2J\x1b[Htext\x1b[31m \x1b[m");
    assert!(!stage.draw(&mut screen, &mut bar, &mut picture));
    screen.write(b"\x1b[Htexts");
    assert!(stage.draw(&mut screen, &mut bar, &mut picture));
    let ((x, y), (cell, _)) = stage.cell(4, 0);
    let changed = |at: &usize| before.samples()[*at] != picture.samples()[*at];
    let changes: Vec<_> = (0..width * height).filter(changed).map(|at| (at % width, at / width)).collect();
    assert!(!changes.is_empty());
    assert!(changes.iter().all(|(at, row)| (x..x + cell).contains(at) && *row >= y), "{changes:?}");
}

/// Reads a cell: the character whose tile is the nearest to what is there.
fn read(letters: &[(char, Vec<u8>)], cell: &[u8]) -> char {
    let distance = |tile: &[u8]| -> u64 {
        tile.iter().zip(cell).map(|(one, two)| u64::from(one.abs_diff(*two)).pow(2)).sum()
    };
    letters.iter().min_by_key(|(_, tile)| distance(tile)).unwrap().0
}

#[test]
fn the_text_of_a_session_can_be_read_back_from_the_video_cell_by_cell() {
    use tidegate_video::draw::Look;
    let directory = support::Directory::new("read-back");
    let text: String = (' '..='~').collect();
    let lines: Vec<String> =
        text.chars().collect::<Vec<_>>().chunks(32).map(|l| l.iter().collect()).collect();
    let shown = format!("\x1b[?25l{}", lines.join("\r\n"));
    let cast = directory
        .write("a.cast", support::cast(40, 5, &[(0.5, "o", &shown), (2.0, "o", "\x1b[2J\x1b[HGONE")]));
    let video = directory.path("a.mp4");
    support::make(&[&cast, &video, &"--theme=dark", &"--text-size=20"]);

    let mut tiles = Tiles::new(Glyphs::new(Fonts::compiled_in()), 20);
    let stage = stage(40, 5, 20, true);
    let (width, _) = stage.pixels();
    let letters: Vec<(char, Vec<u8>)> = text
        .chars()
        .map(|letter| {
            let look = Look::plain(letter, theme::DARK.foreground, theme::DARK.background);
            (letter, tiles.get(&look).luma().to_vec())
        })
        .collect();
    let frame = support::luma(&video, "1.0");
    let row = |number: u16| -> String {
        let cell = |column: u16| {
            let ((x, y), (cell, high)) = stage.cell(column, number);
            let pixels: Vec<u8> = (y..y + high)
                .flat_map(|row| &frame[row * width + x..row * width + x + cell])
                .copied()
                .collect();
            read(&letters, &pixels)
        };
        (0..40).map(cell).collect::<String>().trim_end().to_owned()
    };
    let found: Vec<String> = (0..3).map(row).collect();
    assert_eq!(found, lines.iter().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>());
}

/// What three programs showed (top, vim and a build by cargo, recorded with a pseudo-terminal),
/// against screens that are drawn on their own.
#[test]
fn each_screen_of_real_programs_that_stood_for_40_ms_is_in_the_video_and_none_is_torn() {
    for name in ["top", "vim", "build"] {
        let directory = support::Directory::new(&format!("real-{name}"));
        let cast = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/casts").join(format!("{name}.cast.zst"));
        let video = directory.path("a.mp4");
        support::make(&[&cast, &video, &"--no-title", &"--quality=1"]);
        let frames = support::frames(&video);

        let fonts = Fonts::find(Path::new(fonts::DIRECTORY), None).unwrap();
        let tiles = Tiles::new(Glyphs::new(fonts), 17);
        let size = Size { columns: 80, rows: 24 };
        let mut stage = Stage::new(tiles, theme::DARK, CursorStyle::Program, size, false);
        let (width, height) = stage.pixels();
        let (mut planes, mut bar) = (Planes::new(width, height), stage.bar());
        stage.prepare(&mut planes);
        let mut screen = Screen::new(size);
        stage.draw(&mut screen, &mut bar, &mut planes);
        // Each screen with when it came; the first is empty.
        let mut screens = vec![(0, planes.planes()[0].samples().to_vec())];
        let bytes = std::fs::read(&cast).unwrap();
        let mut recording = Recording::open(&bytes[..], None).unwrap();
        let mut end = 0;
        while let Some(event) = recording.next_event().unwrap() {
            let What::Output(text) = event.what else { continue };
            screen.write(text.as_bytes());
            end = micros(event.at);
            if stage.draw(&mut screen, &mut bar, &mut planes) {
                screens.push((end, planes.planes()[0].samples().to_vec()));
            }
        }
        // What the encoder rounds away is less than what tells two letters apart.
        let same = |one: &[u8], two: &[u8]| one.iter().zip(two).all(|(one, two)| one.abs_diff(*two) < 16);
        let ends: Vec<u64> = screens.iter().skip(1).map(|(from, _)| *from).chain([end + 500_000]).collect();
        let mut stood = 0;
        for ((from, luma), until) in screens.iter().zip(&ends) {
            if until - from >= 40_000 {
                stood += 1;
                let middle = (from + until) / 2000;
                let (at, shown) = frames.iter().rfind(|(at, _)| *at <= middle).unwrap();
                assert!(same(shown, luma), "{name}: the screen of {from} us is not what {at} ms shows");
            }
        }
        assert!(stood > 20, "{name}: only {stood} screens stood");
        for (at, shown) in &frames {
            // The first one is there from 0 on, and shows what stood first.
            let whole = screens.iter().any(|(from, luma)| *from <= at * 1000 + 17_000 && same(shown, luma));
            assert!(whole, "{name}: what {at} ms shows never stood there");
        }
    }
}
