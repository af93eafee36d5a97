//! Control functions of ECMA-48, DEC's terminals and xterm, as far as they change what is
//! seen. Questions of programs get no answer here; strings other than titles and colours
//! (sixel and other DCS, APC, PM, SOS, links, the clipboard) are read over.

use vte::{Params, Perform};

use crate::Shape;
use crate::charset::Charset;
use crate::color;
use crate::sgr;
use crate::terminal::Terminal;

/// The most characters of a title.
const MOST_TITLE: usize = 256;

impl Perform for Terminal {
    #[inline]
    fn print(&mut self, character: char) {
        self.print(character);
    }

    fn terminated(&self) -> bool {
        self.between
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            0x08 => self.left(1),
            b'\t' => self.tab(1),
            0x0a..=0x0c => {
                self.line_feed();
                if self.modes.newline {
                    self.go_column(0);
                }
            }
            b'\r' => self.go_column(0),
            0x0e => self.use_charset(1),
            0x0f => self.use_charset(0),
            // IND, NEL, HTS and RI as single characters.
            0x84 => self.line_feed(),
            0x85 => self.next_line(),
            0x88 => self.set_tab(true),
            0x8d => self.reverse_line_feed(),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        self.between = true;
        match (intermediates, action) {
            // More parameters than are kept are left out.
            ([], 'm') => self.pen.style = sgr::select(self.pen.style, params),
            _ if ignore => {}
            ([], 'h' | 'l') => params.iter().flatten().for_each(|mode| self.mode(*mode, action == 'h')),
            ([b'?'], 'h' | 'l') => {
                params.iter().flatten().for_each(|mode| self.private_mode(*mode, action == 'h'));
            }
            // Nothing is protected from a selective erase.
            ([] | [b'?'], 'J') => self.erase_display(first(params)),
            ([] | [b'?'], 'K') => self.erase_line(first(params)),
            ([b' '], 'q') => self.cursor_shape(first(params)),
            ([b'!'], 'p') => self.soft_reset(),
            ([], _) => self.control(params, action),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignore: bool, byte: u8) {
        self.between = true;
        match (intermediates, byte) {
            ([], b'7') => self.save(),
            ([], b'8') => self.restore(),
            ([], b'D') => self.line_feed(),
            ([], b'E') => self.next_line(),
            ([], b'H') => self.set_tab(true),
            ([], b'M') => self.reverse_line_feed(),
            ([], b'c') => self.reset(),
            ([], b'n') => self.use_charset(2),
            ([], b'o') => self.use_charset(3),
            ([b'#'], b'8') => self.align(),
            ([b'('], set) => self.set_charset(0, Charset::named(set)),
            ([b')'], set) => self.set_charset(1, Charset::named(set)),
            ([b'*'], set) => self.set_charset(2, Charset::named(set)),
            ([b'+'], set) => self.set_charset(3, Charset::named(set)),
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], bell_terminated: bool) {
        // Another end of a string is a sequence of its own.
        self.between = bell_terminated;
        match params {
            [b"0" | b"2", title @ ..] => self.set_title(title_of(title)),
            [b"4", pairs @ ..] => {
                for pair in pairs.chunks_exact(2) {
                    if let [index, spec] = pair
                        && let (Some(index), Some(color)) = (index_of(index), color::parse(spec))
                    {
                        self.colors.set(index, Some(color));
                        self.changes.everything();
                    }
                }
            }
            [b"104"] | [b"104", b""] => {
                self.colors.reset_palette();
                self.changes.everything();
            }
            [b"104", indices @ ..] => {
                indices
                    .iter()
                    .filter_map(|index| index_of(index))
                    .for_each(|index| self.colors.set(index, None));
                self.changes.everything();
            }
            [code, specs @ ..] => self.dynamic_colors(code, specs),
            [] => {}
        }
    }
}

impl Terminal {
    /// Text without escape characters, which stands between sequences: what the parser would
    /// call `print` and `execute` with.
    pub fn text(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let plain = rest.bytes().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(rest.len());
            let (run, after) = rest.split_at_checked(plain).unwrap_or((rest, ""));
            self.ascii(run);
            let mut others = after.chars();
            match others.next() {
                Some(control @ ('\0'..='\x1f' | '\u{80}'..='\u{9f}')) => {
                    self.execute(u8::try_from(u32::from(control)).unwrap_or(0));
                }
                Some(other) => self.print(other),
                None => {}
            }
            rest = others.as_str();
        }
    }

    fn next_line(&mut self) {
        self.line_feed();
        self.go_column(0);
    }

    fn control(&mut self, params: &Params, action: char) {
        let number = usize::from(first(params));
        let count = number.max(1);
        let second = params.iter().nth(1).and_then(|param| param.first().copied()).unwrap_or(0);
        let second = usize::from(second);
        match action {
            '@' => self.insert_cells(count),
            'A' | 'k' => self.up(count),
            'B' | 'e' => self.down(count),
            'C' | 'a' => self.right(count),
            'D' | 'j' => self.left(count),
            'E' => {
                self.down(count);
                self.go_column(0);
            }
            'F' => {
                self.up(count);
                self.go_column(0);
            }
            'G' | '`' => self.go_column(count - 1),
            'H' | 'f' => self.go(count - 1, second.max(1) - 1),
            'd' => self.go_row(count - 1),
            'I' => self.tab(count),
            'Z' => self.tab_back(count),
            'L' => self.shift_lines(count, false),
            'M' => self.shift_lines(count, true),
            'P' => self.delete_cells(count),
            'X' => {
                let column = self.pen.at.column;
                self.erase(column, column.saturating_add(count));
                self.pen.at.pending = false;
            }
            'S' => self.scroll_up(count),
            // With five parameters it is about the mouse.
            'T' | '^' if params.len() <= 1 => self.scroll_down(count),
            'b' => self.repeat(count),
            'g' if number == 0 => self.set_tab(false),
            'g' if number == 3 => self.clear_tabs(),
            'r' => {
                let bottom = if second == 0 { self.height } else { second };
                self.set_margins(count - 1, bottom);
            }
            's' if number == 0 && second == 0 => self.save(),
            'u' => self.restore(),
            't' if number == 22 && second != 1 => self.push_title(),
            't' if number == 23 && second != 1 => self.pop_title(),
            _ => {}
        }
    }

    fn mode(&mut self, mode: u16, on: bool) {
        match mode {
            4 => self.modes.insert = on,
            20 => self.modes.newline = on,
            _ => {}
        }
    }

    fn private_mode(&mut self, mode: u16, on: bool) {
        match mode {
            5 if self.modes.reverse != on => {
                self.modes.reverse = on;
                self.changes.everything();
            }
            6 => {
                self.pen.origin = on;
                self.go(0, 0);
            }
            7 => self.modes.wrap = on,
            25 => self.modes.cursor = on,
            47 | 1047 => self.alternate(on),
            1048 if on => self.save(),
            1048 => self.restore(),
            1049 if on && !self.is_alternate() => {
                self.save();
                self.alternate(true);
            }
            1049 if !on && self.is_alternate() => {
                self.alternate(false);
                self.restore();
            }
            2026 => self.modes.updating = on,
            2027 => self.modes.graphemes = on,
            _ => {}
        }
    }

    fn erase_display(&mut self, what: u16) {
        let (at, columns, height) = (self.pen.at, self.columns, self.height);
        match what {
            0 => {
                self.erase(at.column, columns);
                self.erase_rows(at.row + 1, height);
                self.pen.at.pending = false;
            }
            1 => {
                self.erase(0, at.column + 1);
                self.erase_rows(0, at.row);
            }
            2 => self.erase_rows(0, height),
            3 => self.forget_history(),
            _ => {}
        }
    }

    fn erase_line(&mut self, what: u16) {
        let (column, columns) = (self.pen.at.column, self.columns);
        match what {
            0 => {
                self.erase(column, columns);
                self.pen.at.pending = false;
            }
            1 => self.erase(0, column + 1),
            2 => self.erase(0, columns),
            _ => {}
        }
    }

    fn cursor_shape(&mut self, number: u16) {
        self.shape = match number {
            0..=2 => Shape::Block,
            3 | 4 => Shape::Underline,
            5 | 6 => Shape::Bar,
            _ => return,
        };
    }

    /// OSC 10 to 12, where further colours are those of the next numbers, and 110 to 112.
    fn dynamic_colors(&mut self, code: &[u8], specs: &[&[u8]]) {
        let code = std::str::from_utf8(code).ok().and_then(|code| code.parse::<usize>().ok());
        let Some(code) = code else { return };
        let (start, reset) = match code {
            10..=12 => (code - 10, false),
            110..=112 => (code - 110, true),
            _ => return,
        };
        let places = [&mut self.colors.foreground, &mut self.colors.background, &mut self.colors.cursor];
        let mut places = places.into_iter().skip(start);
        if reset {
            places.take(1).for_each(|place| *place = None);
        } else {
            for (place, spec) in places.by_ref().zip(specs) {
                *place = color::parse(spec).or(*place);
            }
        }
        self.changes.everything();
    }
}

fn first(params: &Params) -> u16 {
    params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0)
}

fn index_of(text: &[u8]) -> Option<u8> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A title without controls and marks of direction; semicolons are part of it.
fn title_of(parts: &[&[u8]]) -> Option<String> {
    let text = parts.join(&b';');
    let shown = |character: &char| !character.is_control() && crate::grapheme::is_kept(*character);
    let title: String = String::from_utf8_lossy(&text).chars().filter(shown).take(MOST_TITLE).collect();
    Some(title).filter(|title| !title.is_empty())
}
