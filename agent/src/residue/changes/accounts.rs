//! The account files, a thing for each line. Passwords are compared, never told.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tidegate_common::residue::FindingKind;

use super::files::{Camera, digest, nanoseconds};
use super::snapshot::{Item, Mark};
use crate::text::{self, lines, shown};

pub const FILES: [&str; 4] = ["passwd", "shadow", "group", "gshadow"];

/// Lines of one file that are things of their own; a longer file is one thing, and so are
/// its accounts that are root.
const MOST_LINES: usize = 4096;

/// The content of a file, and when it changed. One that cannot be read is told, but for those
/// of passwords, which need not be there.
pub fn read(camera: &mut Camera<'_>, file: &str) -> Option<(Vec<u8>, i64)> {
    let path = camera.at(&Path::new("/etc").join(file));
    // The time first: what changes between the two is seen as changed later.
    let metadata = path.metadata();
    let read = metadata
        .and_then(|metadata| Ok((text::read(&path)?, nanoseconds(metadata.ctime(), metadata.ctime_nsec()))));
    match read {
        Ok(read) => Some(read),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.ends_with("shadow") => None,
        Err(error) => {
            camera.miss(format!("/etc/{file}: {error}"));
            None
        }
    }
}

/// Adds its lines to a picture.
pub fn add(camera: &mut Camera<'_>, file: &str, changed: i64, content: &[u8]) {
    let path = format!("/etc/{file}");
    let place = camera.place(Path::new(&path));
    let item =
        |mark, detail| Item { mark, changed: Some(changed), place: Arc::clone(&place), detail, stat: None };
    let large = lines(content).nth(MOST_LINES).is_some();
    if large {
        let detail = format!("more than {MOST_LINES} lines, not told one by one");
        let what = format!("lines of {path}");
        camera.add(FindingKind::Account, what, item(Mark::Digest(digest(&[content])), detail));
    }
    for line in lines(content) {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let Some((name, rest)) = fields.split_first().filter(|(name, _)| !name.is_empty()) else {
            continue;
        };
        let is_root = file == "passwd" && rest.get(1) == Some(&b"0".as_slice());
        if large && !is_root {
            continue;
        }
        let name = shown(name);
        let of = match file {
            "shadow" => "'s password",
            "gshadow" => "'s group password",
            _ => "",
        };
        let (kind, mark, detail) = match file {
            "group" | "gshadow" => {
                let (members, rest) =
                    rest.split_last().map_or((&b""[..], rest), |(last, rest)| (*last, rest));
                let members = members.split(|byte| *byte == b',').filter(|name| !name.is_empty()).map(shown);
                let mark = Mark::Group { members: members.collect(), rest: digest(rest) };
                (FindingKind::Group, mark, path.clone())
            }
            _ => {
                let detail = match (file, rest) {
                    ("passwd", [_, uid, _, _, home, shell]) => {
                        format!("uid {}, home {}, shell {}", shown(uid), shown(home), shown(shell))
                    }
                    _ => path.clone(),
                };
                (FindingKind::Account, Mark::Digest(digest(&[line])), detail)
            }
        };
        let mut what = name + of;
        // A second line for a name is a thing of its own.
        while camera.has(kind, &what) {
            what.push_str(" (again)");
        }
        camera.add(kind, what, item(mark, detail));
    }
}
