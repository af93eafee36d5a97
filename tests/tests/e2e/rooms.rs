//! The law of the tree: no two rooms of a program import each other, at whatever remove, and none
//! of the gate's imports one that is above it.
//!
//! A room is a module below a crate's root; in some, their own modules are held to the same law. What
//! tests import does not count: they take from above what makes their case a real one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// The crates that have rooms.
const CRATES: [&str; 5] = ["common", "proxy", "agent", "screen", "video"];

/// Rooms that are searched one level deeper, each with its crate.
const DEEPER: [(&str, &str); 3] = [("common", "policy"), ("agent", "elevate"), ("agent", "core")];

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

/// A file without its comments and tests.
fn code(text: &str) -> String {
    let text = text.split(TESTS).next().unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

/// The names that a file takes from the module above all rooms, by its path `root` or by as many
/// `super::` as lead there; `depth` says how many modules are above the file.
fn taken(text: &str, depth: usize, root: &str) -> BTreeSet<String> {
    let code = code(text);
    let up = "super::".repeat(depth);
    let by_super = code.match_indices(&up).filter(|(at, _)| !code[..*at].ends_with("super::"));
    let by_super = by_super.map(|(at, _)| &code[at + up.len()..]).filter(|rest| !rest.starts_with("super::"));
    let by_name = code.split(root).skip(1);
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

/// Which names a module has from which of those below it.
fn handed_on(text: &str) -> BTreeMap<String, String> {
    let code = code(text);
    let uses = code.split("use ").skip(1).filter_map(|rest| rest.split(';').next());
    let paths = uses.filter_map(|path| path.strip_prefix("self::").unwrap_or(path).split_once("::"));
    let names =
        paths.map(|(below, names)| firsts(names).into_iter().map(move |name| (name, below.to_owned())));
    names.flatten().collect()
}

/// The imports between the rooms of a crate.
fn imports(src: &Path) -> Imports {
    imports_below(src, "crate::", &BTreeMap::new())
}

/// The imports between the modules of one room.
fn imports_inside(src: &Path, room: &str) -> Imports {
    let text = fs::read_to_string(src.join(room).with_extension("rs")).unwrap();
    imports_below(&src.join(room), &format!("crate::{room}::"), &handed_on(&text))
}

fn imports_below(src: &Path, root: &str, handed_on: &BTreeMap<String, String>) -> Imports {
    let files = files_below(src);
    let rooms: BTreeSet<String> = files.iter().map(|file| place(src, file).swap_remove(0)).collect();
    let mut imports = Imports::new();
    for file in &files {
        let place = place(src, file);
        if is_test(&place) || ["lib", "main"].contains(&place[0].as_str()) {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let others = taken(&text, place.len(), root).into_iter();
        let others = others.map(|name| handed_on.get(&name).cloned().unwrap_or(name));
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

/// Every circle, with the files that make it.
fn circles(name: &str, imports: &Imports) -> Vec<String> {
    let found: BTreeSet<Vec<String>> = imports.keys().filter_map(|room| circle(imports, room)).collect();
    let told = found.iter().map(|way| {
        let steps = way.windows(2).map(|pair| imports[&pair[0]][&pair[1]].display().to_string());
        format!("{name}: {}, by {}", way.join(" -> "), steps.collect::<Vec<_>>().join(", "))
    });
    told.collect()
}

/// Every import of a room that comes earlier in the order.
fn upward(order: &[String], imports: &Imports) -> Vec<String> {
    let at: BTreeMap<&String, usize> = order.iter().enumerate().map(|(at, room)| (room, at)).collect();
    let all = imports.iter().flat_map(|(room, others)| others.iter().map(move |other| (room, other)));
    let up = all.filter(|(room, (other, _))| at.get(other) < at.get(room));
    up.map(|(room, (other, file))| format!("{room} -> {other}, by {}", file.display())).collect()
}

/// The gate's rooms from the top layer to the lowest, as the architecture lists them.
fn order() -> Vec<String> {
    let text = fs::read_to_string(repository("docs/ARCHITECTURE.md")).unwrap();
    let (_, below) = text.split_once("## The layers of the gate\n").unwrap();
    let (section, _) = below.split_once("\n## ").unwrap();
    let list = section.lines().filter_map(|line| line.strip_prefix("    "));
    list.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn no_two_rooms_of_a_program_import_each_other() {
    let src = |name: &str| repository(name).join("src");
    let whole = CRATES.iter().flat_map(|name| circles(name, &imports(&src(name))));
    let inside = DEEPER.iter().flat_map(|(name, room)| {
        let imports = imports_inside(&src(name), room);
        assert!(!imports.is_empty(), "{name}::{room} has modules");
        circles(&format!("{name}::{room}"), &imports)
    });
    let told: Vec<String> = whole.chain(inside).collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn no_room_of_the_gate_imports_one_above_it() {
    let order = order();
    let mut imports = imports(&repository("proxy/src"));
    // It stands for the whole gate in tests, and is in no program.
    imports.remove("testing");
    imports.values_mut().for_each(|others| drop(others.remove("testing")));
    let listed: BTreeSet<&String> = order.iter().collect();
    let there: BTreeSet<&String> = imports.keys().collect();
    assert_eq!(listed, there, "the list has every room");
    assert_eq!(listed.len(), order.len(), "and each once");
    let told = upward(&order, &imports);
    assert!(told.is_empty(), "{told:#?}");
}

/// The files of some of the gate's rooms, without tests, each with its code.
fn code_of(takes: impl Fn(&[String]) -> bool) -> Vec<(PathBuf, String)> {
    let src = repository("proxy/src");
    let files = files_below(&src).into_iter().filter(|file| {
        let place = place(&src, file);
        !is_test(&place) && takes(&place)
    });
    let read = files.map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        (file, code(&text))
    });
    read.collect()
}

#[test]
fn nobody_but_the_service_checks_roles() {
    // What a log-in finds out for the service: whether a user may stand for root.
    let may = |place: &[String]| place[0] == "service" || place == ["access", "login"];
    for (file, code) in code_of(|place| !may(place)) {
        for word in ["has_role(", "Role::"] {
            assert!(!code.contains(word), "{} has `{word}`", file.display());
        }
    }
}

#[test]
fn what_decides_and_what_it_stands_on_knows_nothing_of_ssh() {
    const ROOMS: [&str; 7] = ["admission", "service", "requests", "changes", "outside", "access", "store"];
    let files = code_of(|place| ROOMS.contains(&place[0].as_str()));
    assert!(files.len() > ROOMS.len());
    for (file, code) in files {
        assert!(!code.contains("russh"), "{} has `russh`", file.display());
    }
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
    let imports = imports(&scratch.path(""));
    let order = |rooms: [&str; 4]| rooms.map(str::to_owned);
    let up = upward(&order(["gate", "store", "time", "name"]), &imports);
    assert!(matches!(&up[..], [only] if only.starts_with("time -> gate, by ")), "{up:?}");
    assert_eq!(upward(&order(["time", "gate", "store", "name"]), &imports).len(), 1, "whatever the order");
}

#[test]
fn a_circle_inside_a_room_is_found_also_by_what_the_room_hands_on() {
    let scratch = crate::support::Scratch::new("rooms-inside");
    fs::create_dir(scratch.path("gate")).unwrap();
    scratch.file(
        "gate.rs",
        b"mod permit;\nmod rule;\npub use permit::{Permit, Proof};\nuse self::rule::Rule;\n",
    );
    scratch.file("gate/permit.rs", b"use super::rule::Rule;\n");
    scratch.file("gate/rule.rs", b"use crate::gate::Ending;\n");
    let found = || circle(&imports_inside(&scratch.path(""), "gate"), "rule");
    assert_eq!(found(), None);
    let way = Some(["rule", "permit", "rule"].map(str::to_owned).to_vec());
    for text in
        ["use super::Proof;\n", "use crate::gate::{self, Permit};\n", "fn of(it: super::permit::Proof) {}\n"]
    {
        scratch.file("gate/rule.rs", text.as_bytes());
        assert_eq!(found(), way, "{text}");
    }
}
