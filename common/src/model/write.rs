//! Resources back to TOML, as [`super::Resources::read`] reads them.

use super::Resources;

impl Resources {
    /// The whole as a TOML text, kind by kind.
    ///
    /// # Errors
    /// Never for resources that were parsed; the serializer's signature has it.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
