//! Whether a group's criteria match a credential.

use std::fmt;

use crate::model::{Criteria, Pattern, Traits};

/// A field of the criteria, as it is called in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field(&'static str);

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// The first field that does not match, if any. Criteria that say nothing match nothing.
pub(super) fn mismatch(criteria: &Criteria, traits: &Traits, user: &str) -> Option<Field> {
    let one = |patterns: &[Pattern], value: Option<&str>| {
        patterns.is_empty()
            || value.is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value, user)))
    };
    let many = |patterns: &[Pattern], values: &[String]| {
        patterns.is_empty() || values.iter().any(|value| one(patterns, Some(value)))
    };
    // One after the other: most groups already differ in the first.
    let fields: [(&'static str, &dyn Fn() -> bool); 8] = [
        ("devices", &|| one(&criteria.devices, Some(&traits.device))),
        ("accounts", &|| one(&criteria.accounts, Some(&traits.account))),
        ("products", &|| one(&criteria.products, traits.product.as_deref())),
        ("device_tags", &|| many(&criteria.device_tags, &traits.device_tags)),
        ("credential_tags", &|| many(&criteria.credential_tags, &traits.credential_tags)),
        ("sites", &|| one(&criteria.sites, traits.site.as_deref())),
        ("device_types", &|| one(&criteria.device_types, traits.device_type.as_deref())),
        ("credential_types", &|| one(&criteria.credential_types, traits.credential_type.as_deref())),
    ];
    let first = fields.iter().find(|(_, matches)| !matches()).map(|(field, _)| Field(field));
    first.or_else(|| criteria.is_empty().then_some(Field("criteria")))
}
