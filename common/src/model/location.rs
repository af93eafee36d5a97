//! Countries and regions: where somebody may come from, and where an address is taken to be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Label;
use crate::as_text::as_text;
use crate::unseen::quoted;

/// ISO 3166-1 alpha-2, and XK, which databases use for Kosovo.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC \
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD \
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH \
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW \
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC \
    SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY \
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK";

/// Why a text names no country or region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// No such country.
    #[error("`{0}` is no country; write its two letters of ISO 3166-1, such as BR or DE")]
    Country(String),
    /// The region cannot be one.
    #[error("`{0}` is no region; write its code of ISO 3166-2, such as BR-SP, or its name")]
    Region(String),
    /// The region is another country's.
    #[error("region `{region}` is not in {country}; write one that is, or correct the country")]
    Elsewhere {
        /// As written.
        region: String,
        /// The country beside it.
        country: Country,
    },
}

/// A country, by the two letters of ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([char; 2]);

impl FromStr for Country {
    type Err = LocationError;
    fn from_str(text: &str) -> Result<Self, LocationError> {
        let upper = text.trim().to_ascii_uppercase();
        let mut letters = upper.chars();
        match (letters.next(), letters.next(), letters.next()) {
            (Some(one), Some(two), None) if COUNTRIES.split(' ').any(|known| known == upper) => {
                Ok(Self([one, two]))
            }
            _ => Err(LocationError::Country(quoted(text, 40))),
        }
    }
}

as_text!(Country);

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.iter().collect::<String>())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A country, or one region of it, that users may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AllowedLocation {
    /// Which country.
    pub country: Country,
    /// Its code of ISO 3166-2 without the country, or its name; the whole country where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Label>,
}

impl AllowedLocation {
    /// A country, and a region as people write it: `BR-SP`, `SP` or `São Paulo`.
    ///
    /// # Errors
    /// When the region is another country's.
    pub fn new(country: Country, region: Option<&str>) -> Result<Self, LocationError> {
        let Some(written) = region else { return Ok(Self { country, region: None }) };
        let region = match written.split_once('-').map(|(of, code)| (of.parse::<Country>(), code)) {
            Some((Ok(of), code)) if of == country => code,
            Some((Ok(_), _)) => {
                return Err(LocationError::Elsewhere { region: quoted(written, 64), country });
            }
            _ => written,
        };
        let region = region.parse().map_err(|_| LocationError::Region(quoted(written, 64)))?;
        Ok(Self { country, region: Some(region) })
    }

    /// Whether a place is in it.
    #[must_use]
    pub fn holds(&self, location: &Location) -> bool {
        let same = |one: &Label, other: &Label| one.as_str().to_lowercase() == other.as_str().to_lowercase();
        self.country == location.country
            && self.region.as_ref().is_none_or(|region| location.regions.iter().any(|one| same(one, region)))
    }
}

/// Reads `BR`, `BR-SP` and `BR-São Paulo`.
impl FromStr for AllowedLocation {
    type Err = LocationError;
    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.split_once('-') {
            Some((country, region)) => Self::new(country.parse()?, Some(region)),
            None => Self::new(text.parse()?, None),
        }
    }
}

impl<'de> Deserialize<'de> for AllowedLocation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            country: Country,
            region: Option<String>,
        }
        let Written { country, region } = Written::deserialize(deserializer)?;
        Self::new(country, region.as_deref()).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for AllowedLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => f.pad(&format!("{}-{region}", self.country)),
            None => self.country.fmt(f),
        }
    }
}

/// Where a database says that an address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Which country.
    pub country: Country,
    /// What its region is called: its code without the country, its names; none where the
    /// database knows none.
    pub regions: Vec<Label>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.country.fmt(f)?;
        let mut regions = self.regions.iter();
        regions.next().map_or(Ok(()), |first| write!(f, "-{first}"))?;
        regions.next().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(country: &str, regions: &[&str]) -> Location {
        let regions = regions.iter().map(|region| region.parse().unwrap()).collect();
        Location { country: country.parse().unwrap(), regions }
    }

    #[test]
    fn a_country_is_two_letters_that_are_one_and_a_region_its_code_or_name() {
        for (text, shown) in [("br", "BR"), ("BR-SP", "BR-SP"), ("de-Bavaria", "DE-Bavaria")] {
            assert_eq!(text.parse::<AllowedLocation>().unwrap().to_string(), shown);
        }
        for text in ["UK", "B", "BRA", "", "ÄÖ", "Brazil"] {
            let why = text.parse::<AllowedLocation>().unwrap_err().to_string();
            assert!(
                why.ends_with("is no country; write its two letters of ISO 3166-1, such as BR or DE"),
                "{why}"
            );
        }
        let br = "BR".parse().unwrap();
        assert_eq!(AllowedLocation::new(br, Some("BR-SP")), "BR-SP".parse());
        let why = AllowedLocation::new(br, Some("DE-BE")).unwrap_err().to_string();
        assert_eq!(why, "region `DE-BE` is not in BR; write one that is, or correct the country");
        assert!("BR-".parse::<AllowedLocation>().is_err());
    }

    #[test]
    fn a_place_is_held_by_its_country_and_by_its_region_under_any_of_its_names() {
        let here = at("BR", &["SP", "São Paulo"]);
        for text in ["BR", "BR-SP", "BR-sp", "BR-são paulo"] {
            assert!(text.parse::<AllowedLocation>().unwrap().holds(&here), "{text}");
        }
        for text in ["PT", "BR-RJ", "BR-Rio de Janeiro"] {
            assert!(!text.parse::<AllowedLocation>().unwrap().holds(&here), "{text}");
        }
        assert!(
            !"BR-SP".parse::<AllowedLocation>().unwrap().holds(&at("BR", &[])),
            "an unknown region is none"
        );
        assert_eq!(here.to_string(), "BR-SP (São Paulo)");
    }
}
