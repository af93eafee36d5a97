//! Values that serde reads and writes as the text that people do.

/// What `#[serde(try_from = "String", into = "String")]` asks of a type that has
/// [`FromStr`](std::str::FromStr) and [`Display`](std::fmt::Display).
macro_rules! as_text {
    ($($type:ident),+) => {$(
        impl TryFrom<String> for $type {
            type Error = <Self as std::str::FromStr>::Err;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )+};
}
pub(crate) use as_text;
