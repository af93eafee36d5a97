//! tidegate-proxy.
#![allow(dead_code, unused_imports, reason = "until the wiring uses all of it")]
mod audit_log;
mod record;
mod store;
fn main() {}
