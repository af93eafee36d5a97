//! How a cell looks.

/// A colour as a program asked for it. What it is on a screen, the theme and
/// [`Colors`](crate::Colors) say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Color {
    /// The terminal's own.
    #[default]
    Default,
    /// Of the palette: 0 to 7 normal, 8 to 15 bright, then a cube and greys as xterm has them.
    Indexed(u8),
    /// Red, green and blue.
    Rgb(u8, u8, u8),
}

/// The line below a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Underline {
    #[default]
    None,
    Single,
    Double,
    Curly,
    Dotted,
    Dashed,
}

/// What is on or off for a character (SGR, ECMA-48 8.3.117).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    Bold,
    Dim,
    Italic,
    Blink,
    /// Foreground and background change places.
    Reverse,
    /// Takes its place and is not shown.
    Hidden,
    Strike,
}

impl Attribute {
    fn bit(self) -> u8 {
        match self {
            Self::Bold => 1,
            Self::Dim => 1 << 1,
            Self::Italic => 1 << 2,
            Self::Blink => 1 << 3,
            Self::Reverse => 1 << 4,
            Self::Hidden => 1 << 5,
            Self::Strike => 1 << 6,
        }
    }
}

/// Those that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(u8);

/// The style of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Style {
    pub foreground: Color,
    pub background: Color,
    pub underline: Underline,
    /// The foreground's colour where there is none.
    pub underline_color: Option<Color>,
    pub attributes: Attributes,
}

impl Style {
    /// Whether an attribute is on.
    #[must_use]
    pub fn has(&self, attribute: Attribute) -> bool {
        self.attributes.0 & attribute.bit() != 0
    }

    /// The style with an attribute on.
    #[must_use]
    pub fn with(mut self, attribute: Attribute) -> Self {
        self.attributes.0 |= attribute.bit();
        self
    }

    /// The style with an attribute off.
    #[must_use]
    pub fn without(mut self, attribute: Attribute) -> Self {
        self.attributes.0 &= !attribute.bit();
        self
    }
}
