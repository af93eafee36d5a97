//! Select Graphic Rendition (ECMA-48 8.3.117), with the colours of ISO 8613-6 and the kinds
//! of underline that kitty and VTE have.

use vte::Params;

use crate::style::{Attribute, Color, Style, Underline};

/// The style after a sequence.
pub(crate) fn select(mut style: Style, params: &Params) -> Style {
    let mut params = params.iter();
    while let Some(param) = params.next() {
        let Some((&code, sub)) = param.split_first() else { continue };
        style = match code {
            38 | 48 | 58 => {
                let color = if sub.is_empty() { separate(&mut params) } else { joined(sub) };
                match (code, color) {
                    (_, None) => style,
                    (38, Some(foreground)) => Style { foreground, ..style },
                    (48, Some(background)) => Style { background, ..style },
                    (_, underline_color) => Style { underline_color, ..style },
                }
            }
            4 => Style { underline: underline(sub.first().copied().unwrap_or(1)), ..style },
            code => simple(style, code),
        };
    }
    style
}

fn simple(style: Style, code: u16) -> Style {
    let normal = |code: u16, first: u16, add: u8| {
        u8::try_from(code - first).map_or(Color::Default, |index| Color::Indexed(index + add))
    };
    match code {
        0 => Style::default(),
        1 => style.with(Attribute::Bold),
        2 => style.with(Attribute::Dim),
        3 => style.with(Attribute::Italic),
        5 | 6 => style.with(Attribute::Blink),
        7 => style.with(Attribute::Reverse),
        8 => style.with(Attribute::Hidden),
        9 => style.with(Attribute::Strike),
        21 => Style { underline: Underline::Double, ..style },
        22 => style.without(Attribute::Bold).without(Attribute::Dim),
        23 => style.without(Attribute::Italic),
        24 => Style { underline: Underline::None, ..style },
        25 => style.without(Attribute::Blink),
        27 => style.without(Attribute::Reverse),
        28 => style.without(Attribute::Hidden),
        29 => style.without(Attribute::Strike),
        30..=37 => Style { foreground: normal(code, 30, 0), ..style },
        39 => Style { foreground: Color::Default, ..style },
        40..=47 => Style { background: normal(code, 40, 0), ..style },
        49 => Style { background: Color::Default, ..style },
        59 => Style { underline_color: None, ..style },
        90..=97 => Style { foreground: normal(code, 90, 8), ..style },
        100..=107 => Style { background: normal(code, 100, 8), ..style },
        _ => style,
    }
}

fn underline(kind: u16) -> Underline {
    match kind {
        0 => Underline::None,
        2 => Underline::Double,
        3 => Underline::Curly,
        4 => Underline::Dotted,
        5 => Underline::Dashed,
        _ => Underline::Single,
    }
}

/// `38;5;n` and `38;2;r;g;b`.
fn separate<'a>(params: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    let mut next = || params.next().and_then(|param| param.first().copied());
    match next()? {
        5 => Some(Color::Indexed(byte(next()?)?)),
        2 => {
            let (red, green, blue) = (next()?, next()?, next()?);
            Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?))
        }
        _ => None,
    }
}

/// `38:5:n`, `38:2::r:g:b` and, as many write it, `38:2:r:g:b`.
fn joined(sub: &[u16]) -> Option<Color> {
    match *sub {
        [5, index, ..] => Some(Color::Indexed(byte(index)?)),
        [2, red, green, blue] => Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?)),
        [2, _, red, green, blue, ..] => Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?)),
        _ => None,
    }
}

fn byte(number: u16) -> Option<u8> {
    u8::try_from(number).ok()
}
