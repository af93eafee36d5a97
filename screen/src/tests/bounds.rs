//! Whatever is sent, it takes a bounded time: one that a busy machine keeps in a build without
//! optimization, and that falls far short of what would be taken without the bound.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn no_sequence_costs_more_than_a_row_or_a_column() {
    for again in [
        "\x1b#8",
        "\x1b[2J",
        "\x1b[44m\x1b[2J",
        "\x1b[65535b",
        "\x1b[65535S",
        "\x1b[65535T",
        "\x1b[65535L",
        "\x1b[H\x1b[65535M",
        "\x1b[65535@",
        "\x1b[65535P",
        "\x1b[65535I",
        "\x1b[65535Z",
        "\x1bc",
        "\x1b[?1049h\x1b[?1049l",
        "\x1bM",
        "\x1b[2;999r\x1b[2;1H\x1bM",
        "a\u{301}\u{302}\u{303}",
        "\x1b]4;1;#fff\x07\x1b]104\x07",
    ] {
        let mut screen = Screen::new(Size { columns: 1000, rows: 1000 });
        let start = Instant::now();
        screen.write(format!("a{again}").repeat(2_000).as_bytes());
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{again:?} took {took:?}");
    }
}

/// Without a bound each of these sizes would break a million cells anew.
#[test]
fn a_storm_of_sizes_ends() {
    let mut screen = Screen::new(Size { columns: 1000, rows: 1000 });
    screen.write(&b"x".repeat(1_000_000));
    let start = Instant::now();
    for step in 0..3_000 {
        screen.resize(Size { columns: 999 + step % 2, rows: 1000 });
        screen.write(b"x");
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "took {took:?}");
}
