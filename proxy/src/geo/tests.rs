use std::path::PathBuf;

use serde_json::json;

use super::mmdb::{database, flat, nested};
use super::*;

/// A file of a test's own, which goes with it.
struct Own(PathBuf);

impl Own {
    fn new(bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-geo-{:032x}.mmdb", rand::random::<u128>()));
        let own = Self(path);
        own.put(bytes);
        own
    }

    /// Another file in the place of the old one, as a download is put there.
    fn put(&self, bytes: &[u8]) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    fn geo(&self) -> Geo {
        Geo::of(Some(self.0.clone()))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn shown(geo: &Geo, address: &str) -> String {
    geo.locate(address.parse().unwrap()).to_string()
}

const UNKNOWN: &str = "a place that the GeoIP database does not know";
const NONE: &str = "an unknown place, because the gate has no GeoIP database";

#[test]
fn both_schemas_say_where_an_address_is() {
    let file = Own::new(&database(&[
        ("203.0.113.0/24", nested("BR", "SP", "São Paulo")),
        ("198.51.100.0/25", flat("DE", "Bavaria")),
        ("192.0.2.0/24", json!({"country": "PT"})),
        ("2001:db8::/32", nested("FR", "IDF", "Île-de-France")),
        ("192.0.3.0/24", nested("EU", "", "")),
        ("192.0.4.0/24", json!({"asn": 64_500})),
    ]));
    let geo = file.geo();
    assert_eq!(shown(&geo, "203.0.113.9"), NONE, "nothing is read yet");
    assert!(geo.look().unwrap());
    assert_eq!(shown(&geo, "203.0.113.9"), "BR-SP (São Paulo)");
    assert_eq!(shown(&geo, "::ffff:203.0.113.9"), "BR-SP (São Paulo)");
    assert_eq!(shown(&geo, "198.51.100.9"), "DE-Bavaria");
    assert_eq!(shown(&geo, "192.0.2.1"), "PT");
    assert_eq!(shown(&geo, "2001:db8::1"), "FR-IDF (Île-de-France)");
    for nowhere in ["198.51.100.200", "192.0.3.1", "192.0.4.1", "2001:db9::1"] {
        assert_eq!(shown(&geo, nowhere), UNKNOWN, "{nowhere}");
    }
}

#[test]
fn a_new_file_is_taken_once_and_one_that_is_none_leaves_the_old_in_use() {
    let whole = database(&[("203.0.113.0/24", nested("BR", "SP", "São Paulo"))]);
    let file = Own::new(&whole);
    let geo = file.geo();
    assert!(geo.look().unwrap());
    assert!(!geo.look().unwrap(), "it is the same file");
    let second = database(&[("203.0.113.0/24", flat("PT", "Lisboa"))]);
    let cut = second.get(..second.len() / 2).unwrap();
    // A tree whose one node leads to itself, so that it has no end.
    let mut round = second.clone();
    round.iter_mut().take(6).for_each(|byte| *byte = 0);
    // Both sides of each node lead to the next, so that there are more ways than anybody could walk.
    let mut doubled = second.clone();
    for (node, bytes) in (1u32..=120).zip(doubled.chunks_exact_mut(6)) {
        let next = node.to_be_bytes();
        bytes.copy_from_slice(&[next[1], next[2], next[3], next[1], next[2], next[3]]);
    }
    for wrong in [cut, b"", b"not a database", &[0; 4096], &round, &doubled] {
        file.put(wrong);
        let told = geo.look().unwrap_err().to_string();
        assert!(told.contains("is no whole GeoIP database in MaxMind's format"), "{told}");
        assert!(!geo.look().unwrap(), "it is told once");
        assert_eq!(shown(&geo, "203.0.113.9"), "BR-SP (São Paulo)");
    }
    std::fs::remove_file(&file.0).unwrap();
    assert!(geo.look().unwrap_err().to_string().contains("cannot be read"));
    assert_eq!(shown(&geo, "203.0.113.9"), "BR-SP (São Paulo)");
    file.put(&second);
    assert!(geo.look().unwrap());
    assert_eq!(shown(&geo, "203.0.113.9"), "PT-Lisboa");
}

#[test]
fn without_a_file_nobody_is_anywhere() {
    let geo = Geo::of(None);
    assert!(!geo.look().unwrap());
    assert_eq!(shown(&geo, "203.0.113.9"), NONE);
}
