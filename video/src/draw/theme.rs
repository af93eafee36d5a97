//! Palettes.

use super::color::Rgb;

/// The colours that a terminal leaves to its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Text without a colour of its own.
    pub foreground: Rgb,
    /// The screen.
    pub background: Rgb,
    /// Colours 0 to 15.
    pub palette: [Rgb; 16],
    /// The cursor.
    pub cursor: Rgb,
    /// Text of the title bar.
    pub bar_foreground: Rgb,
    /// The title bar.
    pub bar_background: Rgb,
    /// What the title bar warns of.
    pub alarm: Rgb,
}

impl Theme {
    /// Of a terminal that says its colours: 8 or 16 of them.
    #[must_use]
    pub fn of_terminal(foreground: [u8; 3], background: [u8; 3], palette: &[[u8; 3]]) -> Self {
        let color = |[red, green, blue]: [u8; 3]| Rgb { red, green, blue };
        let (foreground, background) = (color(foreground), color(background));
        let mut own = Self { foreground, background, cursor: foreground, ..DARK };
        let from = palette.iter().cycle().copied().map(color);
        own.palette.iter_mut().zip(from).for_each(|(place, color)| *place = color);
        (own.bar_foreground, own.bar_background) = (foreground, foreground.over(background, 40));
        own
    }
}

/// Colour `index` of the 256: 16 of the palette, a cube of 216, 24 greys (xterm's).
#[must_use]
pub fn indexed(palette: &[Rgb; 16], index: u8) -> Rgb {
    if let Some(color) = palette.get(usize::from(index)) {
        return *color;
    }
    if index >= 232 {
        let grey = 8 + 10 * (index - 232);
        return Rgb { red: grey, green: grey, blue: grey };
    }
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    let place = index - 16;
    Rgb { red: level(place / 36), green: level(place / 6 % 6), blue: level(place % 6) }
}

macro_rules! colors {
    ($($value:literal),* $(,)?) => { [$(Rgb::hex($value)),*] };
}

/// Light on dark; every colour is read well on the background.
pub const DARK: Theme = Theme {
    foreground: Rgb::hex(0xd8_dee9),
    background: Rgb::hex(0x10_141a),
    palette: colors![
        0x1c_222b, 0xe0_5561, 0x8c_c265, 0xd3_b55f, 0x3b_7dd8, 0xc1_62de, 0x3a_a5b4, 0xc8_ccd4, 0x5c_6370,
        0xff_616e, 0xa5_e075, 0xf2_d675, 0x6c_b2ff, 0xde_73ff, 0x4c_d1e0, 0xff_ffff,
    ],
    cursor: Rgb::hex(0xe6_e6e6),
    bar_foreground: Rgb::hex(0xc8_d0dc),
    bar_background: Rgb::hex(0x26_2d38),
    alarm: Rgb::hex(0xff_b454),
};

/// Dark on light, for print and bright rooms.
pub const LIGHT: Theme = Theme {
    foreground: Rgb::hex(0x24_292f),
    background: Rgb::hex(0xff_ffff),
    palette: colors![
        0x24_292f, 0xcf_222e, 0x11_6329, 0x8a_5a00, 0x09_69da, 0x82_50df, 0x1b_7c83, 0x6e_7781, 0x57_606a,
        0xa4_0e26, 0x1a_7f37, 0x9a_6700, 0x21_8bff, 0xa4_75f9, 0x31_92aa, 0x8c_959f,
    ],
    cursor: Rgb::hex(0x24_292f),
    bar_foreground: Rgb::hex(0x24_292f),
    bar_background: Rgb::hex(0xe1_e5ea),
    alarm: Rgb::hex(0xb3_1d28),
};

/// The terminal of old: xterm's own colours on black.
pub const XTERM: Theme = Theme {
    foreground: Rgb::hex(0xe5_e5e5),
    background: Rgb::hex(0x00_0000),
    palette: colors![
        0x00_0000, 0xcd_0000, 0x00_cd00, 0xcd_cd00, 0x1e_5aff, 0xcd_00cd, 0x00_cdcd, 0xe5_e5e5, 0x7f_7f7f,
        0xff_0000, 0x00_ff00, 0xff_ff00, 0x5c_5cff, 0xff_00ff, 0x00_ffff, 0xff_ffff,
    ],
    cursor: Rgb::hex(0xff_ffff),
    bar_foreground: Rgb::hex(0xe5_e5e5),
    bar_background: Rgb::hex(0x2a_2a2a),
    alarm: Rgb::hex(0xff_d75f),
};

/// Ethan Schoonover's Solarized, dark.
pub const SOLARIZED: Theme = Theme {
    foreground: Rgb::hex(0x93_a1a1),
    background: Rgb::hex(0x00_2b36),
    palette: colors![
        0x07_3642, 0xdc_322f, 0x85_9900, 0xb5_8900, 0x26_8bd2, 0xd3_3682, 0x2a_a198, 0xee_e8d5, 0x58_6e75,
        0xcb_4b16, 0x58_6e75, 0x65_7b83, 0x83_9496, 0x6c_71c4, 0x93_a1a1, 0xfd_f6e3,
    ],
    cursor: Rgb::hex(0x93_a1a1),
    bar_foreground: Rgb::hex(0xee_e8d5),
    bar_background: Rgb::hex(0x07_3642),
    alarm: Rgb::hex(0xe0_a53a),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_256_colours_are_those_of_xterm() {
        let palette = &DARK.palette;
        assert_eq!(indexed(palette, 3), DARK.palette[3]);
        assert_eq!(indexed(palette, 16), Rgb::hex(0x00_0000));
        assert_eq!(indexed(palette, 196), Rgb::hex(0xff_0000));
        assert_eq!(indexed(palette, 110), Rgb::hex(0x87_afd7));
        assert_eq!(indexed(palette, 231), Rgb::hex(0xff_ffff));
        assert_eq!(indexed(palette, 232), Rgb::hex(0x08_0808));
        assert_eq!(indexed(palette, 255), Rgb::hex(0xee_eeee));
    }
}
