//! Fonts: those of Debian's packages, and one that is compiled in for where there are none.
//!
//! Files are found and opened once, before the program confines itself; each is read when the
//! first character needs it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fontdb::{Database, Family, Query, Source, Stretch, Style, Weight};
use swash::{CacheKey, FontRef};

/// Where Debian's packages put fonts.
pub const DIRECTORY: &str = "/usr/share/fonts";

/// What is looked at first for what the text's own font lacks.
const FALLBACKS: [&str; 9] = [
    "DejaVu Sans Mono",
    "Noto Sans Mono",
    "DejaVu Sans",
    "Noto Sans Mono CJK JP",
    "Noto Sans CJK JP",
    "Noto Sans Symbols2",
    "Noto Sans Symbols",
    "FreeMono",
    "Unifont",
];

const EMOJI: &str = "Noto Color Emoji";

/// The text's own font, where none is asked for. The compiled-in one is the same.
const TEXT: &str = "DejaVu Sans Mono";

/// The most fonts beside those named here.
const MOST_OTHERS: usize = 48;
/// The most bytes of fonts that are read, beyond the text's own.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A cut of the text's font.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cut {
    Regular,
    Bold,
    Italic,
    BoldItalic,
}

impl Cut {
    /// By its two properties.
    #[must_use]
    pub fn of(bold: bool, italic: bool) -> Self {
        match (bold, italic) {
            (false, false) => Self::Regular,
            (true, false) => Self::Bold,
            (false, true) => Self::Italic,
            (true, true) => Self::BoldItalic,
        }
    }

    #[must_use]
    pub fn is_bold(self) -> bool {
        matches!(self, Self::Bold | Self::BoldItalic)
    }

    #[must_use]
    pub fn is_italic(self) -> bool {
        matches!(self, Self::Italic | Self::BoldItalic)
    }
}

/// One face of a font file.
struct Face {
    data: Data,
    index: u32,
    offset: u32,
    key: Option<CacheKey>,
}

enum Data {
    /// Compiled in.
    Static(&'static [u8]),
    /// Open, and not read yet; with its size, which cannot be asked for once the program is
    /// confined.
    File(File, usize),
    Read(Vec<u8>),
    /// It could not be read, or is no font.
    Useless,
}

/// Every font that may be drawn with.
pub struct Fonts {
    text: [Face; 4],
    emoji: Option<Face>,
    others: Vec<Face>,
    read: usize,
}

/// A character of a font.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    pub font: FontRef<'a>,
    pub glyph: u16,
    /// Whether the font is the text's own, so that it fits the cells.
    pub own: bool,
}

impl Fonts {
    /// Only what is compiled in: the same everywhere.
    #[must_use]
    pub fn compiled_in() -> Self {
        use dejavu::sans_mono as mono;
        let text = [mono::regular(), mono::bold(), mono::oblique(), mono::bold_oblique()];
        Self {
            text: text.map(|data| Face::new(Data::Static(data), 0)),
            emoji: None,
            others: Vec::new(),
            read: 0,
        }
    }

    /// Opens what is installed. `family` is the text's font; without one, or where it is not
    /// installed, it is DejaVu Sans Mono.
    ///
    /// # Errors
    /// Names the family that was asked for and is not there.
    pub fn find(directory: &Path, family: Option<&str>) -> Result<Self, Missing> {
        let mut known = Database::new();
        known.load_fonts_dir(directory);
        let mut fonts = Self::compiled_in();
        let wanted = family.unwrap_or(TEXT);
        let cuts = [Cut::Regular, Cut::Bold, Cut::Italic, Cut::BoldItalic];
        let found = cuts.map(|cut| find(&known, wanted, cut));
        if let (Some(family), None) = (family, &found[0]) {
            return Err(Missing { family: family.to_owned(), directory: directory.to_owned() });
        }
        for (face, found) in fonts.text.iter_mut().zip(found) {
            if let Some(found) = found {
                *face = found;
            }
        }
        fonts.emoji = find(&known, EMOJI, Cut::Regular);
        let named = FALLBACKS.iter().filter(|name| **name != wanted);
        fonts.others = named.filter_map(|name| find(&known, name, Cut::Regular)).collect();
        fonts.others.extend(others(&known, wanted));
        Ok(fonts)
    }

    /// The font that has a character. `emoji` says that it is to be a picture where there is one.
    pub fn lookup(&mut self, character: char, cut: Cut, emoji: bool) -> Option<Found<'_>> {
        let index = self.index(character, cut, emoji)?;
        let (face, own) = match index {
            FaceIndex::Text(cut) => (self.text.get(cut)?, true),
            FaceIndex::Emoji => (self.emoji.as_ref()?, false),
            FaceIndex::Other(number) => (self.others.get(number)?, false),
        };
        let font = face.font()?;
        Some(Found { font, glyph: font.charmap().map(character), own })
    }

    /// The text's own font.
    pub fn text(&self) -> Option<FontRef<'_>> {
        self.text.first()?.font()
    }

    fn index(&mut self, character: char, cut: Cut, emoji: bool) -> Option<FaceIndex> {
        let read = &mut self.read;
        // One character that no font has asks all of them.
        let mut has = |face: &mut Face| face.has(character, MOST_BYTES.saturating_sub(*read), read);
        if emoji && self.emoji.as_mut().is_some_and(&mut has) {
            return Some(FaceIndex::Emoji);
        }
        let cut = match cut {
            Cut::Regular => 0,
            Cut::Bold => 1,
            Cut::Italic => 2,
            Cut::BoldItalic => 3,
        };
        for cut in [cut, 0] {
            if self.text.get_mut(cut).is_some_and(&mut has) {
                return Some(FaceIndex::Text(cut));
            }
        }
        if let Some(number) = self.others.iter_mut().position(&mut has) {
            return Some(FaceIndex::Other(number));
        }
        self.emoji.as_mut().is_some_and(has).then_some(FaceIndex::Emoji)
    }
}

#[derive(Clone, Copy)]
enum FaceIndex {
    Text(usize),
    Emoji,
    Other(usize),
}

impl Face {
    fn new(data: Data, index: u32) -> Self {
        let mut face = Self { data, index, offset: 0, key: None };
        face.examine();
        face
    }

    /// Whether the font has a glyph; reads its file, where `left` bytes are enough for it.
    fn has(&mut self, character: char, left: usize, read: &mut usize) -> bool {
        if let Data::File(file, size) = &mut self.data {
            let size = *size;
            let mut bytes = Vec::new();
            // No more memory than the file is large.
            let whole = size <= left
                && bytes.try_reserve_exact(size).is_ok()
                && file.take(u64::try_from(size).unwrap_or(0)).read_to_end(&mut bytes).is_ok();
            *read = read.saturating_add(bytes.len());
            self.data = if whole { Data::Read(bytes) } else { Data::Useless };
            self.examine();
        }
        self.font().is_some_and(|font| font.charmap().map(character) != 0)
    }

    fn examine(&mut self) {
        let bytes = match &self.data {
            Data::Static(bytes) => bytes,
            Data::Read(bytes) => bytes.as_slice(),
            Data::File(..) | Data::Useless => return,
        };
        let found = usize::try_from(self.index).ok().and_then(|index| FontRef::from_index(bytes, index));
        match found.map(|font| (font.offset, font.key)) {
            Some((offset, key)) => (self.offset, self.key) = (offset, Some(key)),
            None => self.data = Data::Useless,
        }
    }

    fn font(&self) -> Option<FontRef<'_>> {
        let data = match &self.data {
            Data::Static(bytes) => bytes,
            Data::Read(bytes) => bytes.as_slice(),
            Data::File(..) | Data::Useless => return None,
        };
        Some(FontRef { data, offset: self.offset, key: self.key? })
    }
}

/// Every other font, in the order of its name.
fn others(known: &Database, wanted: &str) -> Vec<Face> {
    let mut named: Vec<_> = known
        .faces()
        .filter(|face| face.weight == Weight::NORMAL && face.style == Style::Normal)
        .filter_map(|face| Some((face.families.first()?.0.clone(), face)))
        .filter(|(name, _)| name != wanted && name != EMOJI && !FALLBACKS.contains(&name.as_str()))
        .collect();
    named.sort_by(|(one, _), (two, _)| one.cmp(two));
    named.dedup_by(|(one, _), (two, _)| one == two);
    named.into_iter().filter_map(|(_, face)| open(face)).take(MOST_OTHERS).collect()
}

fn find(known: &Database, family: &str, cut: Cut) -> Option<Face> {
    let query = Query {
        families: &[Family::Name(family)],
        weight: if cut.is_bold() { Weight::BOLD } else { Weight::NORMAL },
        stretch: Stretch::Normal,
        style: if cut.is_italic() { Style::Italic } else { Style::Normal },
    };
    open(known.face(known.query(&query)?)?)
}

fn open(face: &fontdb::FaceInfo) -> Option<Face> {
    let path = match &face.source {
        Source::File(path) | Source::SharedFile(path, _) => path,
        Source::Binary(_) => return None,
    };
    let file = File::open(path).ok()?;
    let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
    Some(Face::new(Data::File(file, size), face.index))
}

/// A font that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("no font is called {family} below {}; fc-list shows those that are there", directory.display())]
pub struct Missing {
    family: String,
    directory: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fonts_are_read_up_to_a_bound_however_many_lack_a_character() {
        let mut fonts = Fonts::find(Path::new(DIRECTORY), None).unwrap();
        // Of private use: it is looked for in all of them.
        for character in '\u{f0000}'..'\u{f0010}' {
            fonts.lookup(character, Cut::Regular, false);
        }
        assert!(fonts.read > 0 && fonts.read <= MOST_BYTES, "{}", fonts.read);
    }
}
