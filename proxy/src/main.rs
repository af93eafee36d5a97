//! tidegate-proxy.
#![allow(dead_code, unused_imports)] // until it is wired

mod access;
mod audit_log;
mod config;
mod console;
mod record;
mod requests;
mod store;

fn main() {}
