//! The console's grammar, in a room of the name that it has in the gate.

#[path = "../../../../proxy/src/console/grammar.rs"]
mod grammar;

/// `tidegate-proxy admin`.
pub fn command() -> clap::Command {
    <grammar::Cli as clap::CommandFactory>::command().name("admin").no_binary_name(false)
}
