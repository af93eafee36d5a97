//! What the tests of several rooms work on.

use jiff::{SignedDuration, Timestamp};

use crate::change::{Change, ChangeState};
use crate::id::RequestId;
use crate::model::{Action, Claims, Limits, Request, RequestState, Wish};

/// A Monday, noon in UTC.
pub fn noon() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// Of `operator` for `ops@db01` under `dba`, made at noon; it waits for a day.
pub fn request() -> Request {
    Request {
        id: RequestId(7),
        user: "operator".parse().unwrap(),
        targets: vec!["ops@db01".parse().unwrap()],
        left_out: Vec::new(),
        action: Action::Session,
        claims: Claims { justification: Some("ticket 7".parse().unwrap()), ..Claims::default() },
        group: "dba".parse().unwrap(),
        wish: Wish::default(),
        limits: Limits::default(),
        extends: None,
        created: noon(),
        expires: noon() + SignedDuration::from_hours(24),
        origin: None,
        state: RequestState::Pending,
        votes: Vec::new(),
        review: None,
        used: 0,
    }
}

/// Approved, from noon for an hour, on `db01` under `dba`; it expects nothing.
pub fn change() -> Change {
    Change {
        id: "CHG-1".parse().unwrap(),
        title: "restart the database".parse().unwrap(),
        description: None,
        start: noon(),
        due: noon() + SignedDuration::from_hours(1),
        group: "dba".parse().unwrap(),
        devices: vec!["db01".parse().unwrap()],
        expected: Vec::new(),
        ordered: false,
        responsible: vec!["boss".parse().unwrap()],
        interrupt: false,
        author: "other".parse().unwrap(),
        created: noon(),
        state: ChangeState::Approved { by: "boss".to_owned(), at: noon(), comment: None },
    }
}
