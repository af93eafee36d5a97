//! What stands on the screen after which bytes.

use super::*;

mod alternate;
mod basics;
mod bounds;
mod characters;
mod controls;
mod properties;
mod resize;
mod strings;

/// A screen of this size on which something was written.
fn shown(columns: u16, rows: u16, bytes: impl AsRef<[u8]>) -> Screen {
    let mut screen = Screen::new(Size { columns, rows });
    screen.write(bytes.as_ref());
    screen
}

/// Its rows.
fn rows(screen: &Screen) -> Vec<String> {
    screen.text().split('\n').map(str::to_owned).collect()
}

fn at(screen: &Screen) -> (u16, u16) {
    (screen.cursor().row, screen.cursor().column)
}
