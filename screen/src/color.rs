//! Colours that a program gave the terminal (OSC 4, 10, 11 and 12).

/// Red, green and blue.
pub type Rgb = (u8, u8, u8);

/// What a program changed of the theme; `None` is the theme's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Colors {
    pub foreground: Option<Rgb>,
    pub background: Option<Rgb>,
    pub cursor: Option<Rgb>,
    /// There once one was changed.
    palette: Option<Box<[Option<Rgb>; 256]>>,
}

impl Colors {
    /// One of the palette.
    #[must_use]
    pub fn indexed(&self, index: u8) -> Option<Rgb> {
        self.palette.as_ref()?.get(usize::from(index)).copied().flatten()
    }

    pub(crate) fn set(&mut self, index: u8, color: Option<Rgb>) {
        if self.palette.is_none() && color.is_none() {
            return;
        }
        let palette = self.palette.get_or_insert_with(|| Box::new([None; 256]));
        if let Some(entry) = palette.get_mut(usize::from(index)) {
            *entry = color;
        }
    }

    pub(crate) fn reset_palette(&mut self) {
        self.palette = None;
    }
}

/// Reads `#rgb`, `#rrggbb` and longer, `rgb:r/g/b` and `rgba:r/g/b/a` with one to four
/// digits each (XParseColor). Names are not known.
pub(crate) fn parse(text: &[u8]) -> Option<Rgb> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(digits) = text.strip_prefix('#') {
        let each = digits.len() / 3;
        if !digits.is_ascii() || each == 0 || each > 4 || digits.len() % 3 != 0 {
            return None;
        }
        // Here fewer digits are the upper ones.
        let part = |place: usize| {
            let part = digits.get(place * each..(place + 1) * each)?;
            let value = u32::from_str_radix(part, 16).ok()? << (4 * (4 - each));
            u8::try_from(value >> 8).ok()
        };
        return Some((part(0)?, part(1)?, part(2)?));
    }
    let parts = text.strip_prefix("rgb:").or_else(|| text.strip_prefix("rgba:"))?;
    let mut parts = parts.split('/').map(|part| {
        let digits = u32::try_from(part.len()).ok().filter(|digits| (1..=4).contains(digits))?;
        let most = 16u32.pow(digits) - 1;
        u8::try_from((u32::from_str_radix(part, 16).ok()? * 255 + most / 2) / most).ok()
    });
    Some((parts.next()??, parts.next()??, parts.next()??))
}
