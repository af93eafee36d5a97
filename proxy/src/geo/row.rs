//! What a database says of a network, in either schema.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_common::model::{Country, Label, Location};

/// The most names of regions that are taken from one row.
const MOST_REGIONS: usize = 32;

/// One row. All else in it is passed over.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    country: Option<InCountry>,
    #[serde(default)]
    country_code: Option<String>,
    #[serde(default)]
    subdivisions: Vec<Subdivision>,
    #[serde(default)]
    state1: Option<String>,
}

/// `country`, which some write as its letters only.
#[derive(Deserialize)]
#[serde(untagged)]
enum InCountry {
    Nested { iso_code: Option<String> },
    Code(String),
}

#[derive(Deserialize)]
struct Subdivision {
    #[serde(default)]
    iso_code: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
}

impl Row {
    /// The place, if the row names a country that is one.
    pub fn location(self) -> Option<Location> {
        let nested = match self.country {
            Some(InCountry::Nested { iso_code }) => iso_code,
            Some(InCountry::Code(code)) => Some(code),
            None => None,
        };
        let country: Country = nested.or(self.country_code)?.parse().ok()?;
        let mut regions: Vec<Label> = Vec::new();
        let mut add = |name: &str| {
            if let Ok(name) = name.parse()
                && regions.len() < MOST_REGIONS
                && !regions.contains(&name)
            {
                regions.push(name);
            }
        };
        for Subdivision { iso_code, names } in self.subdivisions {
            // Some write the whole code of ISO 3166-2.
            let own = format!("{country}-");
            iso_code.iter().for_each(|code| add(code.strip_prefix(&own).unwrap_or(code)));
            names.get("en").into_iter().chain(names.values()).for_each(|name| add(name));
        }
        self.state1.iter().for_each(|name| add(name));
        Some(Location { country, regions })
    }
}
