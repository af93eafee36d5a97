//! The manual page of a settings file, from the commented example in config/: what
//! stands above a section or a key, or behind it, says what it is.

use super::title;
use clap_mangen::roff::{Roff, bold, italic, roman};

/// The page of section 5 of `PROGRAM.toml`; `variable` begins the environment's names.
pub fn page(program: &str, toml: &str, variable: &str) -> Vec<u8> {
    let name = format!("{program}.toml");
    let settings = program.trim_start_matches("tidegate-");
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - settings of {program}"))]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([
        bold(format!("/etc/tidegate/{settings}.toml")),
        roman(" is written in TOML. Unknown keys are refused."),
    ]);
    roff.text([
        bold(format!("{program} check-config")),
        roman(" reports every mistake at once. Each key can be set in the environment instead, as "),
        bold(format!("{variable}__")),
        italic("SECTION"),
        bold("__"),
        italic("KEY"),
        roman("."),
    ]);
    roff.control("SH", ["KEYS"]);
    for part in parts(toml) {
        match part {
            Part::Section(section) => {
                roff.control("SS", [section]);
            }
            Part::Key { line, said } => {
                roff.control("TP", []);
                roff.text([bold(line)]);
                roff.text([roman(said)]);
            }
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(format!("{program}(8)"))]);
    (title(&name, 5) + &roff.to_roff()).into_bytes()
}

/// The page of what `apply` takes: the commented example, a section for each part of it.
pub fn resources(toml: &str) -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(
        "tidegate-resources - users, devices, credentials, access groups, reasons, user groups and exceptional access of Tidegate",
    )]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([
        bold("tidegate-proxy admin apply -f "),
        italic("FILE"),
        roman(" takes a text in TOML, all of it or nothing: "),
        bold("--dry-run"),
        roman(
            " only tells what it would change, and every mistake is told at once, with its line and column. ",
        ),
        bold("tidegate-proxy admin export"),
        roman(" prints all there is in the same form. What follows has each key at least once."),
    ]);
    let mut example = false;
    for line in toml.lines() {
        if let Some(heading) = line.strip_prefix("# ----") {
            if example {
                roff.control("EE", []);
            }
            roff.control("SH", [heading.trim_matches(['-', ' ']).to_uppercase().as_str()]);
            roff.control("EX", []);
            example = true;
        } else if example {
            roff.text([roman(line)]);
        }
    }
    roff.control("EE", []);
    roff.control("SH", ["FILES"]);
    roff.text([bold("/usr/share/doc/tidegate-proxy/examples/resources.toml"), roman(": this example")]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("tidegate-proxy-admin(8), tidegate-proxy(8)")]);
    (title("tidegate-resources", 5) + &roff.to_roff()).into_bytes()
}

#[derive(Debug)]
enum Part<'a> {
    /// `[name]`, as it is written.
    Section(&'a str),
    /// A key with its value on one line, and its comments.
    Key { line: String, said: String },
}

/// The file's parts in their order. A comment that nothing but an empty line follows
/// is about the whole file.
fn parts(toml: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut above = Vec::new();
    let mut lines = toml.lines().map(|line| shown(line.trim()));
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix('#') {
            above.push(comment.trim());
        } else if line.starts_with('[') {
            parts.push(Part::Section(line));
            above.clear();
        } else if line.is_empty() {
            above.clear();
        } else {
            let (value, behind) = split(line);
            let mut value = value.to_owned();
            while value.ends_with('[') || value.ends_with(',') {
                let Some(more) = lines.next() else { break };
                value.push(' ');
                value.push_str(split(more).0);
            }
            let value = value.replace("[ ", "[").replace(", ]", "]");
            let said: Vec<&str> = above.drain(..).chain(behind).collect();
            parts.push(Part::Key { line: value, said: said.join(" ") });
        }
    }
    parts
}

/// A line that is commented out because its section is not there by itself is one all the same.
fn shown(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else { return line };
    let key = rest.split_once(" = ").map(|(key, _)| key).unwrap_or_default();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if rest.starts_with('[') || is_key { rest } else { line }
}

/// The line without its comment, and the comment; a `#` between quotes begins none.
fn split(line: &str) -> (&str, Option<&str>) {
    let mut quoted = false;
    for (place, letter) in line.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '#' if !quoted => {
                let (value, comment) = line.split_at(place);
                return (value.trim_end(), Some(comment.trim_start_matches('#').trim()));
            }
            _ => {}
        }
    }
    (line.trim_end(), None)
}
