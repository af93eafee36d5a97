//! Writes small GeoIP databases in MaxMind's format
//! (<https://maxmind.github.io/MaxMind-DB/>): a tree of 24-bit records over IPv6, in which IPv4
//! is `::/96`, and whatever rows a test wants.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};

/// A record of the tree.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Row(usize),
}

/// A database with these networks, each written as `203.0.113.0/24`, and their rows.
///
/// # Panics
/// When a network is none: the test is wrong then.
#[must_use]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test writes is right or fails it")]
pub fn database(networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, row) in networks {
        let (base, length) = network.split_once('/').unwrap();
        let length: usize = length.parse().unwrap();
        let (bits, length) = match base.parse::<IpAddr>().unwrap() {
            IpAddr::V4(four) => (u128::from(u32::from(four)), length + 96),
            IpAddr::V6(six) => (u128::from(Ipv6Addr::from(six.octets())), length),
        };
        let at = data.len();
        write(&mut data, row);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Record::Row(at);
            } else if let Record::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Record::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Record::Node(next);
                node = next;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for record in nodes.into_iter().flatten() {
        let number = match record {
            Record::Nothing => count,
            Record::Node(next) => next,
            Record::Row(at) => count + 16 + at,
        };
        file.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let about = json!({
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_800_000_000u64,
        "database_type": "Test", "description": {"en": "of a test"}, "ip_version": 6, "languages": ["en"],
        "node_count": count, "record_size": 24,
    });
    write(&mut file, &about);
    file
}

/// A row of the nested schema.
#[must_use]
pub fn nested(country: &str, region: &str, name: &str) -> Value {
    json!({
        "continent": {"code": "XX"},
        "country": {"iso_code": country, "names": {"en": "a country"}},
        "location": {"time_zone": "UTC"},
        "subdivisions": [{"iso_code": region, "names": {"en": name}}],
    })
}

/// A row of the flat schema.
#[must_use]
pub fn flat(country: &str, state: &str) -> Value {
    json!({"city": "a city", "country_code": country, "state1": state, "state2": "", "timezone": "UTC"})
}

fn head(file: &mut Vec<u8>, kind: u8, size: usize) {
    let extended = kind > 7;
    let first = if extended { 0 } else { kind << 5 };
    let small = u8::try_from(size.min(29)).unwrap_or(29);
    file.push(first | small);
    if extended {
        file.push(kind - 7);
    }
    if size >= 29 {
        file.push(u8::try_from(size - 29).unwrap_or(u8::MAX));
    }
}

fn sized(file: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    head(file, kind, bytes.len());
    file.extend_from_slice(bytes);
}

fn write(file: &mut Vec<u8>, value: &Value) {
    let [text_kind, map_kind, list_kind] = [2, 7, 11];
    match value {
        Value::String(text) => {
            head(file, text_kind, text.len());
            file.extend_from_slice(text.as_bytes());
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or_default();
            match u16::try_from(number) {
                Ok(number) => sized(file, 5, &number.to_be_bytes()),
                Err(_) => sized(file, 9, &number.to_be_bytes()),
            }
        }
        Value::Array(items) => {
            head(file, list_kind, items.len());
            items.iter().for_each(|item| write(file, item));
        }
        Value::Object(fields) => {
            head(file, map_kind, fields.len());
            for (name, field) in fields {
                write(file, &Value::String(name.clone()));
                // The format gives this one a width of its own.
                match field.as_u64().and_then(|count| u32::try_from(count).ok()) {
                    Some(count) if name == "node_count" => sized(file, 6, &count.to_be_bytes()),
                    _ => write(file, field),
                }
            }
        }
        Value::Null | Value::Bool(_) => head(file, map_kind, 0),
    }
}
