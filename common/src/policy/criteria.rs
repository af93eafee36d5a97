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
    let differs = if !one(&criteria.devices, Some(&traits.device)) {
        "devices"
    } else if !one(&criteria.accounts, Some(&traits.account)) {
        "accounts"
    } else if !one(&criteria.products, traits.product.as_deref()) {
        "products"
    } else if !many(&criteria.device_tags, &traits.device_tags) {
        "device_tags"
    } else if !many(&criteria.credential_tags, &traits.credential_tags) {
        "credential_tags"
    } else if !one(&criteria.sites, traits.site.as_deref()) {
        "sites"
    } else if !one(&criteria.device_types, traits.device_type.as_deref()) {
        "device_types"
    } else if !one(&criteria.credential_types, traits.credential_type.as_deref()) {
        "credential_types"
    } else if criteria.is_empty() {
        "criteria"
    } else {
        return None;
    };
    Some(Field(differs))
}
