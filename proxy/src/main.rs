//! tidegate-proxy.
#![allow(dead_code, unused_imports, reason = "until the wiring uses all of it")]
mod access;
mod audit_log;
mod config;
mod console;
mod record;
mod requests;
mod store;
fn main() {}
