//! tidegate-proxy.

#[allow(dead_code, unused_imports)] // until the sessions use it
mod record;

fn main() {}
