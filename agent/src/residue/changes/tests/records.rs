//! What is kept of sessions' beginnings.

use std::os::unix::fs::MetadataExt;

use tidegate_common::grant::Leftover;
use tidegate_common::id::SessionId;
use tidegate_common::residue::FindingKind;

use super::super::records::{Began, Clock, Entry, Picture, Records, Stage, missed};
use super::super::snapshot::Snapshot;
use super::{item, key, snapshot};
use crate::core::Reaped;
use crate::test::Scratch;

#[test]
fn records_keep_sessions_and_the_pictures_that_they_need_and_nothing_damaged() {
    let scratch = Scratch::new();
    let mut records = Records::open(scratch.paths());
    let picture = |number| Picture {
        number,
        taken: 0,
        snapshot: snapshot([(key(FindingKind::Cron, "a"), item(1, 1))]),
    };
    (1..4).for_each(|number| records.keep_picture(&picture(number)));
    let session = SessionId::new(1, 1);
    let clock = Clock { wall: 2, boot: 1 };
    let entry = Entry {
        before: Some(Began { picture: 1, quick: Snapshot::default(), clock }),
        used: true,
        leftovers: Vec::new(),
        more: 0,
        unsure: Default::default(),
        findings: Vec::new(),
        stage: Stage::Lives,
    };
    records.keep_session(session, &entry);
    records.forget_pictures(&[1].into());
    let again = Records::open(scratch.paths());
    assert!(again.picture(1).is_some() && again.picture(2).is_none(), "nobody needs the second");
    assert_eq!(again.newest().map(|newest| newest.number), Some(3));
    assert_eq!(again.sessions().len(), 1);

    // The sweep ended its processes.
    let leftover = Leftover { pid: 7, comm: "sleep".to_owned(), command: String::new(), killed: true };
    let reaped = |leftovers| Reaped { leftovers, ..Reaped::default() };
    missed(scratch.paths(), session, reaped(vec![leftover.clone()]));
    missed(scratch.paths(), SessionId::new(2, 2), reaped(Vec::new()));
    let [(_, kept)] = again.sessions().try_into().unwrap();
    assert_eq!((kept.stage, kept.leftovers), (Stage::Missed, vec![leftover]));
    assert_eq!(std::fs::metadata(scratch.paths().residue()).unwrap().mode() & 0o777, 0o700);

    std::fs::write(scratch.paths().residue().join(format!("{session}.session")), "{").unwrap();
    assert!(again.sessions().is_empty());
    again.forget_session(session);
}
