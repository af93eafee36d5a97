//! tidegate-agent: the only program of Tidegate that changes a host.

#![allow(dead_code)]

mod core;

fn main() {}
