//! Pictures as JSON, which has no keys but text and no shared texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map as a list of pairs.
pub mod pairs {
    use super::{BTreeMap, Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub fn deserialize<'a, D: Deserializer<'a>, K: Deserialize<'a> + Ord, V: Deserialize<'a>>(
        from: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

/// A text; [`super::snapshot::Snapshot::shared`] makes equal ones one again.
pub mod text {
    use super::{Arc, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }
}

/// A map whose keys are such texts.
pub mod texts {
    use super::{Arc, BTreeMap, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(map: &BTreeMap<Arc<str>, i64>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(map.iter().map(|(text, value)| (text.as_ref(), value)))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<BTreeMap<Arc<str>, i64>, D::Error> {
        let read = BTreeMap::<String, i64>::deserialize(from)?;
        Ok(read.into_iter().map(|(text, value)| (Arc::from(text), value)).collect())
    }
}
