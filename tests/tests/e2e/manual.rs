//! The manual pages and the completion that the packages bring, as `pages` writes them.

use std::fs;

use tidegate_tests::programs::program;
use tidegate_tests::run::Run;
use tidegate_tests::world::{Options, World};

use crate::support::{Scratch, repository};

#[test]
fn the_manual_tells_every_command_and_every_key() {
    let scratch = Scratch::new("manual");
    Run::new(program("pages").unwrap()).arg(scratch.path("")).ok().unwrap();
    let page = |name: &str| fs::read_to_string(scratch.path("man").join(name)).unwrap().replace('\\', "");
    for (name, told) in [
        ("tidegate-agent.8", ["tidegate-agent uninstall [OPTIONS]", "--keep", "/etc/tidegate/agent.toml"]),
        (
            "tidegate-video.1",
            ["tidegate-video [OPTIONS] <RECORDING> <OUTPUT>", "--idle-limit", "/usr/share/fonts"],
        ),
        ("tidegate-proxy.8", ["tidegate-proxy check-config", "--config", "tidegate-proxy.toml(5)"]),
        (
            "tidegate-proxy-admin.8",
            ["tidegate-proxy admin request approve", "--comment", "request approve 12"],
        ),
        ("tidegate-proxy-admin.8", ["tidegate-resources(5)", "access-group", "tidegate-proxy admin get"]),
        ("tidegate-resources.5", ["[[access_group]]", "emergency_window = ", "tidegate-proxy admin apply"]),
    ] {
        told.iter().for_each(|told| assert!(page(name).contains(told), "{name} lacks {told}"));
    }
    for program in ["agent", "proxy"] {
        let settings = fs::read_to_string(repository(&format!("config/{program}.toml"))).unwrap();
        let page = page(&format!("tidegate-{program}.toml.5"));
        let is_key = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_lowercase());
        let keys: Vec<&str> = settings.lines().filter(is_key).collect();
        assert!(keys.len() > 4, "{keys:?}");
        for key in keys {
            let key = key.split('=').next().unwrap();
            assert!(page.contains(&format!("fB{key}=")), "the page lacks {key}: {page}");
        }
    }
}

#[test]
fn bash_completes_the_commands() {
    let scratch = Scratch::new("completion");
    Run::new(program("pages").unwrap()).arg(scratch.path("")).ok().unwrap();
    let complete = |program: &str, words: &[&str]| {
        let script = format!(
            "source {}/completion/{program}.bash\nCOMP_WORDS=({program} {}) COMP_CWORD={}\n\
             function=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
             $function {program} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             echo \"${{COMPREPLY[@]}}\"",
            scratch.path("").display(),
            words.join(" "),
            words.len(),
        );
        Run::new("bash").args(["--norc", "-c", &script]).ok().unwrap().out()
    };
    assert_eq!(complete("tidegate-agent", &["uni"]), "uninstall\n");
    assert_eq!(complete("tidegate-agent", &["install", "--pr"]), "--proxy\n");
    assert_eq!(complete("tidegate-proxy", &["admin", "get", "acc"]), "access-group\n");
    assert_eq!(complete("tidegate-video", &["--codec", "h"]), "h264\n");
    assert_eq!(complete("tidegate-proxy", &["admin", "request", "app"]), "approve\n");
    assert_eq!(complete("tidegate-proxy", &["admin", "request", "list", "--state", "rej"]), "rejected\n");
}

#[test]
fn the_help_of_the_local_console_says_how_it_is_called() {
    let world = World::start(Options::default()).unwrap();
    for command in [vec!["--help"], vec!["request", "create", "--help"], vec!["help", "session"]] {
        let help = world.admin(&command).unwrap().ok().unwrap().out();
        assert!(help.contains("Usage: tidegate-proxy admin"), "{command:?}: {help}");
    }
}
