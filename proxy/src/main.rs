//! tidegate-proxy.

#[allow(dead_code, unused_imports)] // until the sessions use it
mod audit_log;
#[allow(dead_code, unused_imports)]
mod record;
#[allow(dead_code, unused_imports)]
mod store;

fn main() {}
