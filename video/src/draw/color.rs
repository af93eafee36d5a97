//! Colours: blended as a terminal blends them, and turned into what a video holds.

/// A colour of the screen (sRGB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rgb {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
}

impl Rgb {
    /// From `0xRRGGBB`.
    #[must_use]
    pub const fn hex(value: u32) -> Self {
        let [_, red, green, blue] = value.to_be_bytes();
        Self { red, green, blue }
    }

    /// This colour over `below`, `alpha` of 255.
    #[must_use]
    pub fn over(self, below: Self, alpha: u8) -> Self {
        Self {
            red: blend(self.red, below.red, alpha),
            green: blend(self.green, below.green, alpha),
            blue: blend(self.blue, below.blue, alpha),
        }
    }

    /// Luma and chroma by ITU-R BT.709, limited range (16 to 235, 16 to 240).
    #[must_use]
    pub fn yuv(self) -> [u8; 3] {
        let [red, green, blue] = [self.red, self.green, self.blue].map(i32::from);
        let part = |r: i32, g: i32, b: i32, base: i32| -> u8 {
            let sum = r * red + g * green + b * blue;
            u8::try_from(((sum + (1 << 15)) >> 16) + base).unwrap_or(u8::MAX)
        };
        // 65,536 times the standard's factors, scaled to the limited range.
        [part(11966, 40254, 4064, 16), part(-6596, -22189, 28784, 128), part(28784, -26145, -2639, 128)]
    }
}

fn blend(above: u8, below: u8, alpha: u8) -> u8 {
    let (above, below, alpha) = (u32::from(above), u32::from(below), u32::from(alpha));
    u8::try_from((above * alpha + below * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_grey_have_no_chroma_and_the_standards_ends() {
        assert_eq!(Rgb::hex(0x00_0000).yuv(), [16, 128, 128]);
        assert_eq!(Rgb::hex(0xff_ffff).yuv(), [235, 128, 128]);
        let [_, u, v] = Rgb::hex(0x80_8080).yuv();
        assert_eq!((u, v), (128, 128));
    }

    #[test]
    fn pure_colours_reach_the_ends_of_the_chroma_range_and_not_beyond() {
        assert_eq!(Rgb::hex(0x00_00ff).yuv()[1], 240);
        assert_eq!(Rgb::hex(0xff_0000).yuv()[2], 240);
        assert_eq!(Rgb::hex(0xff_ff00).yuv()[1], 16);
    }

    #[test]
    fn a_blend_at_its_ends_is_one_of_the_two() {
        let (a, b) = (Rgb::hex(0x12_3456), Rgb::hex(0xfe_dcba));
        assert_eq!(a.over(b, 255), a);
        assert_eq!(a.over(b, 0), b);
    }
}
