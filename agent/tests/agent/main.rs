//! The agent's own program against a proxy in memory: TLS, enrolment, grants, ends.

mod host;
mod proxy;
mod story;
