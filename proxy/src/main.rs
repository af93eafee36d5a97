//! tidegate-proxy.
fn main() {}
