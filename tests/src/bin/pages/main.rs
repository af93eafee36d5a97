//! `pages DIRECTORY`: manual pages and shell completion for the packages, from the
//! programs' own command lines and from the commented settings in config/, so that
//! neither can tell another story than the programs. It is here and not in the
//! programs so that they do not carry what writes it.

mod command;
mod settings;

// The sources of the command lines; what acts on them stays behind.
#[path = "../../../../agent/src/cli.rs"]
#[allow(dead_code)]
mod agent;
#[allow(dead_code, unused_imports)]
mod console;
#[path = "../../../../proxy/src/cli.rs"]
#[allow(dead_code)]
mod proxy;
#[path = "../../../../video/src/cli.rs"]
#[allow(dead_code)]
mod video;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use command::Page;

const FILES_OF_AGENT: [(&str, &str); 4] = [
    ("/etc/tidegate/agent.toml", "the settings; see tidegate-agent.toml(5)"),
    ("/etc/tidegate-agent/custom/", "custom privileges, written by the host's administrator"),
    ("/var/lib/tidegate-agent/", "key, certificate and journal"),
    ("/run/tidegate/sudoers.d/", "sudo rules of live sessions"),
];

const FILES_OF_PROXY: [(&str, &str); 3] = [
    ("/etc/tidegate/proxy.toml", "the settings; see tidegate-proxy.toml(5)"),
    ("/var/lib/tidegate/", "the store, the keys and the CAs"),
    ("/var/lib/tidegate/recordings/", "recordings of sessions"),
];

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).context("usage: pages DIRECTORY")?;
    let directory = Path::new(&directory);
    let admin = console::command();
    let agent = agent::Cli::command();
    let proxy = proxy::Cli::command().mut_subcommand("admin", |_| admin.clone());
    write(directory, "man/tidegate-agent.8", &of_agent(agent.clone())?)?;
    write(directory, "man/tidegate-proxy.8", &of_proxy()?)?;
    write(directory, "man/tidegate-proxy-admin.8", &of_console(admin)?)?;
    let video = video::Cli::command();
    write(directory, "man/tidegate-video.1", &of_video(video.clone())?)?;
    for (name, toml, variable) in [
        ("tidegate-agent", include_str!("../../../../config/agent.toml"), "TIDEGATE_AGENT"),
        ("tidegate-proxy", include_str!("../../../../config/proxy.toml"), "TIDEGATE"),
    ] {
        write(directory, &format!("man/{name}.toml.5"), &settings::page(name, toml, variable))?;
    }
    let resources = settings::resources(include_str!("../../../../config/resources.toml"));
    write(directory, "man/tidegate-resources.5", &resources)?;
    for (name, mut command) in
        [("tidegate-agent", agent), ("tidegate-proxy", proxy), ("tidegate-video", video)]
    {
        for (shell, file) in [
            (Shell::Bash, format!("completion/{name}.bash")),
            (Shell::Zsh, format!("completion/_{name}")),
            (Shell::Fish, format!("completion/{name}.fish")),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut script);
            if shell == Shell::Bash {
                script = with_one_name(&String::from_utf8(script)?, name);
            }
            write(directory, &file, &script)?;
        }
    }
    Ok(())
}

fn of_agent(agent: clap::Command) -> Result<Vec<u8>> {
    Page {
        command: agent,
        name: "tidegate-agent",
        section: 8,
        calls: "tidegate-agent",
        description: &[
            "The agent is the only program of Tidegate that changes a host. It dials the proxy, is told \
             what to grant to which account for which session, writes down how to take it back before it \
             changes anything, and takes it back when the session ends, the proxy falls silent, or it is \
             itself stopped.",
            "systemd runs it (tidegate-agent.service), and the sweep after it, at boot and every half \
             minute (tidegate-sweep.service).",
        ],
        files: &FILES_OF_AGENT,
        see_also: "tidegate-agent.toml(5), tidegate-proxy(8), sshd_config(5), sudoers(5)",
    }
    .render()
}

fn of_proxy() -> Result<Vec<u8>> {
    Page {
        // The console has a page of its own.
        command: proxy::Cli::command(),
        name: "tidegate-proxy",
        section: 8,
        calls: "tidegate-proxy",
        description: &[
            "The gate between people and devices. It lets people in by ssh, asks policy, has the agent on \
             the device grant what the session needs, connects, records, and has the grant taken back when \
             the session ends.",
            "systemd runs it (tidegate-proxy.service). Restarting it ends the sessions that live in it.",
        ],
        files: &FILES_OF_PROXY,
        see_also: "tidegate-proxy-admin(8), tidegate-proxy.toml(5), tidegate-agent(8), ssh(1)",
    }
    .render()
}

fn of_console(admin: clap::Command) -> Result<Vec<u8>> {
    Page {
        command: admin,
        name: "tidegate-proxy-admin",
        section: 8,
        calls: "tidegate-proxy admin",
        description: &[
            "The console of the gate. The same commands are there for each user over ssh, as far as their \
             roles go: `ssh operator@gate request list`. On the gate itself, as root, they are an \
             administrator's.",
        ],
        files: &FILES_OF_PROXY,
        see_also: "tidegate-resources(5), tidegate-proxy(8), ssh(1)",
    }
    .render()
}

fn of_video(video: clap::Command) -> Result<Vec<u8>> {
    Page {
        command: video,
        name: "tidegate-video",
        section: 1,
        calls: "tidegate-video",
        description: &[
            "A recording of Tidegate, or any asciicast of version 1, 2 or 3, plain or compressed with zstd, \
             becomes a video: each screen that stood for 40 ms or more is a frame of it. Its commands are \
             chapters and subtitles. Above the screen stands who was where, in which session, and when.",
            "With --key the recording's proof is checked first. One that does not hold is converted as far as \
             it is good; a warning stands above the screen and in the file's metadata, where ffprobe(1) shows \
             it beside the session and the last link of the recording's chain.",
            "What reads the recording is a process of its own that can open no file and reach no network. The \
             file gets its name when it is whole.",
        ],
        files: &[("/usr/share/fonts", "where fonts are looked for; one is compiled in")],
        see_also: "tidegate-proxy-admin(8), asciinema(1), ffprobe(1)",
    }
    .render()
}

/// clap_complete 4.6 calls a program with a hyphen by two names in its script for bash,
/// `a__b` where it looks for the command and `a__subcmd__b` where it answers, so that no
/// command of it would be completed.
fn with_one_name(script: &str, program: &str) -> Vec<u8> {
    script.replace(&program.replace('-', "__subcmd__"), &program.replace('-', "__")).into_bytes()
}

/// The head of a page, without a date, so that the same sources make the same page.
fn title(name: &str, section: u8) -> String {
    let (name, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
    format!(".TH \"{name}\" {section} \"\" \"Tidegate {version}\" \"Tidegate\"\n.nh\n.ad l\n")
}

fn write(directory: &Path, file: &str, content: &[u8]) -> Result<()> {
    let path = directory.join(file);
    let parent = path.parent().context("a file without a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
