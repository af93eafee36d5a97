//! Which characters belong to the one before them.

/// Variation Selector 16: as an emoji.
pub(crate) const EMOJI_STYLE: char = '\u{fe0f}';
const JOINER: char = '\u{200d}';

/// Whether a character of no width changes how the one before it looks. Marks of
/// direction and of order are not kept: they would only mislead who searches or reads.
pub(crate) fn is_kept(mark: char) -> bool {
    !matches!(mark,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{61c}' | '\u{180e}')
}

/// Whether U+FE0F makes it an emoji of two columns (Unicode's emoji-variation-sequences,
/// without digits, which no terminal widens).
pub(crate) fn is_emoji_base(character: char) -> bool {
    matches!(character,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2194}'..='\u{21aa}'
        | '\u{2328}' | '\u{23cf}'..='\u{23fa}' | '\u{24c2}' | '\u{25aa}'..='\u{25fe}' | '\u{2600}'..='\u{27bf}'
        | '\u{2934}'..='\u{2935}' | '\u{2b05}'..='\u{2b55}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

/// Whether `next` is one with `first` and its marks: after a joiner, a tone of skin, or the
/// second letter of a flag (a plain part of UAX 29).
pub(crate) fn joins(first: char, marks: &[char], next: char) -> bool {
    let emoji = |character| is_emoji_base(character);
    let flag = |character| matches!(character, '\u{1f1e6}'..='\u{1f1ff}');
    match marks.last() {
        Some(&JOINER) => emoji(first) && emoji(next),
        _ if matches!(next, '\u{1f3fb}'..='\u{1f3ff}') => emoji(first) && !flag(first),
        None => flag(first) && flag(next),
        _ => false,
    }
}
