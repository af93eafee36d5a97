//! The law of the tree: no two rooms of a program import each other, at whatever remove.
//!
//! A room is a module below a crate's root. What tests import does not count: they take from
//! above what makes their case a real one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// The crates that have rooms.
const CRATES: [&str; 5] = ["common", "proxy", "agent", "screen", "video"];

/// Where a test module begins that ends a file.
const TESTS: &str = "#[cfg(test)]\nmod tests {";

/// Which rooms a room imports, and where.
type Imports = BTreeMap<String, BTreeMap<String, PathBuf>>;

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The words of a file's place below `src`, without its ending: `["agents", "link"]`.
fn place(src: &Path, file: &Path) -> Vec<String> {
    let below = file.strip_prefix(src).unwrap().with_extension("");
    below.iter().map(|word| word.to_str().unwrap().to_owned()).collect()
}

fn is_test(place: &[String]) -> bool {
    place.iter().any(|word| word == "test" || word == "tests" || word.ends_with("_tests"))
}

/// The names that a file takes from its crate's root, by `crate::` or by as many `super::` as lead
/// there; `depth` says how many modules are above the file.
fn taken(text: &str, depth: usize) -> BTreeSet<String> {
    let text = text.split(TESTS).next().unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = lines.join("\n");
    let up = "super::".repeat(depth);
    let by_super = code.match_indices(&up).filter(|(at, _)| !code[..*at].ends_with("super::"));
    let by_super = by_super.map(|(at, _)| &code[at + up.len()..]).filter(|rest| !rest.starts_with("super::"));
    let by_name = code.split("crate::").skip(1);
    by_super.chain(by_name).flat_map(firsts).collect()
}

/// The first words of a path, which may begin with a list.
fn firsts(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
    };
    let Some(list) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut words, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, letter) in list.char_indices() {
        match letter {
            ',' | '}' if depth == 0 => {
                words.push(word(&list[begin..at]));
                begin = at + 1;
                if letter == '}' {
                    break;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    words
}

fn imports(src: &Path) -> Imports {
    let files = files_below(src);
    let rooms: BTreeSet<String> = files.iter().map(|file| place(src, file).swap_remove(0)).collect();
    let mut imports = Imports::new();
    for file in &files {
        let place = place(src, file);
        if is_test(&place) || ["lib", "main"].contains(&place[0].as_str()) {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let others = taken(&text, place.len()).into_iter();
        let of_room = imports.entry(place[0].clone()).or_default();
        for other in others.filter(|name| rooms.contains(name) && *name != place[0]) {
            of_room.entry(other).or_insert_with(|| file.clone());
        }
    }
    imports
}

/// The shortest way from a room back to itself.
fn circle(imports: &Imports, room: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![room.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in imports.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            let longer = [&way[..], std::slice::from_ref(next)].concat();
            if next == room {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn no_two_rooms_of_a_program_import_each_other() {
    let mut told = Vec::new();
    for name in CRATES {
        let imports = imports(&repository(name).join("src"));
        let found: BTreeSet<Vec<String>> = imports.keys().filter_map(|room| circle(&imports, room)).collect();
        for way in found {
            let steps = way.windows(2).map(|pair| imports[&pair[0]][&pair[1]].display().to_string());
            told.push(format!("{name}: {}, by {}", way.join(" -> "), steps.collect::<Vec<_>>().join(", ")));
        }
    }
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn a_circle_of_imports_is_found_however_it_is_written() {
    let scratch = crate::support::Scratch::new("rooms");
    fs::create_dir(scratch.path("gate")).unwrap();
    scratch.file("gate.rs", b"mod way;\n");
    scratch.file("gate/way.rs", b"use super::Gate;\nuse super::super::store::Store;\n");
    scratch.file("store.rs", b"// crate::gate\nuse crate::{time::{Clock, Zone}, name};\n");
    scratch.file("name.rs", b"#[cfg(test)]\nmod tests {\n    use crate::gate;\n}\n");
    scratch.file("time.rs", b"use std::time::Duration;\n");
    let found = |room: &str| circle(&imports(&scratch.path("")), room);
    assert_eq!((found("gate"), found("store")), (None, None), "a comment and a test are no import");
    scratch.file("time.rs", b"fn at(gate: &super::gate::Gate) {}\n");
    let way = ["gate", "store", "time", "gate"].map(str::to_owned).to_vec();
    assert_eq!(found("gate"), Some(way));
}
