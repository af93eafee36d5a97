//! tidegate-agent.
fn main() {}
