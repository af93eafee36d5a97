//! Closed lists of words that people type and read.

/// Makes an enum of such a list: each case with its word, which is read and shown; `$what` is what a
/// text is told to be none of.
macro_rules! choices {
    ($(#[$meta:meta])* $type:ident: $what:literal { $($(#[$inner:meta])* $case:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        pub enum $type { $($(#[$inner])* $case,)+ }

        impl $type {
            /// Every one, in the order in which they come.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$case,)+];

            /// As it is written everywhere.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$case => $word,)+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let known = Self::ALL.into_iter().find(|known| known.word() == text);
                known.ok_or_else(|| format!("`{}` is no {}", crate::unseen::quoted(text, 40), $what))
            }
        }
    };
}
pub(crate) use choices;
