//! What docs/ promises: each test that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tidegate_common::change::Draft;
use tidegate_common::model::Resources;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The names of all functions in the Rust files below a directory.
fn functions(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let after_fn = text.split("fn ").skip(1);
            names.extend(after_fn.map(|rest| rest.split(['(', '<']).next().unwrap_or_default().to_owned()));
        }
    }
}

#[test]
fn each_invariant_has_one_row() {
    let text = fs::read_to_string(repository().join("docs/ARCHITECTURE.md")).unwrap();
    let (_, table) = text.split_once("| invariant | tests |").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(". ")?.0.parse().ok());
    assert_eq!(rows.collect::<Vec<u32>>(), (1..=14).collect::<Vec<u32>>());
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let mut there = BTreeSet::new();
    for room in ["common/src", "screen", "video", "proxy/src", "agent/src", "agent/tests", "tests/tests"] {
        if repository().join(room).is_dir() {
            functions(&repository().join(room), &mut there);
        }
    }
    let mut missing = Vec::new();
    for document in ["docs/ARCHITECTURE.md", "docs/THREATS.md", "docs/OPERATIONS.md", "docs/DECISIONS.md"] {
        let text = fs::read_to_string(repository().join(document)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        // A test's name is a sentence: at least four words.
        let is_sentence = |name: &&str| {
            name.matches('_').count() >= 3
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit())
        };
        missing.extend(
            quoted
                .filter(is_sentence)
                .filter(|name| !there.contains(*name))
                .map(|name| format!("{document}: {name}")),
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The texts that a document has its reader write into a file: the file's name, and the text.
fn written(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("    cat > ").skip(1).filter_map(|rest| rest.split_once(" <<'END'\n"));
    let whole = |(name, rest): (&str, &str)| {
        let (text, _) = rest.split_once("    END\n")?;
        let lines = text.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)));
        Some((name.to_owned(), lines.collect()))
    };
    blocks.filter_map(whole).collect()
}

#[test]
fn what_the_readme_has_its_reader_write_is_taken() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let all = written(&readme);
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["access.toml", "change.toml", "groups.toml", "visit.toml", "people.toml", "router.toml"]
    );
    // They add to people who are there.
    let people = ["operator", "approver", "boss", "auditor"];
    let people = people.map(|name| format!("[[user]]\nname = \"{name}\"\nemail = \"{name}@example.org\"\n"));
    let mut resources = Resources::read(&people.concat()).unwrap();
    for (name, text) in &all {
        if name == "change.toml" {
            let now = jiff::Timestamp::now();
            let draft = Draft::read(text, now).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
            // Whenever it is typed.
            assert!(draft.start >= now && draft.due > draft.start, "{draft:?}");
            assert!(draft.due.duration_since(now) < jiff::SignedDuration::from_hours(366 * 24), "{draft:?}");
            assert!(all.iter().any(|(_, text)| text.contains(&format!("name = \"{}\"", draft.group))));
        } else {
            let update = resources.update(text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
            resources = update.whole;
        }
    }
}

#[test]
fn the_readme_has_a_section_with_commands_for_each_of_the_four_things_that_are_set_up() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for (heading, command) in [
        ("Access groups", "    ssh admin@gate apply -f - < access.toml\n"),
        ("User groups", "    ssh admin@gate apply -f - < groups.toml\n"),
        ("Batch access for a user group", "    ssh admin@gate remote-access batch "),
        ("First access of one user", "    ssh admin@gate remote-access request "),
    ] {
        let (_, section) = readme.split_once(&format!("\n### {heading}\n")).expect(heading);
        let section = section.split("\n## ").next().unwrap();
        let section = section.split("\n### ").next().unwrap();
        assert!(section.contains(command), "no `{command}` in {section}");
    }
}
