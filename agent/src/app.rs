//! Wiring: one function for each command.

mod install;

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::{Cli, Command, Doctor, Enrol, Output, Shown, Uninstall};
use crate::config::Config;
use crate::identity::Token;
use crate::paths::{Paths, SYSTEMD};
use crate::setup::{self, Site, Sshd};
use crate::shell::{driver, reload, sweep, uplink};
use crate::{doctor, report, sshd};

/// Carries out one command.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Run => {
            let config = Config::load(file)?;
            log(&config.log);
            runtime()?.block_on(driver::run(config, file))?;
        }
        Command::Reload => {
            setup_possible(false)?;
            let paths = Config::load(file).map(|config| config.paths).unwrap_or_default();
            crate::say::line(format_args!(
                "version {} runs, with every grant that there was",
                reload::reload(&paths)?
            ));
        }
        Command::CheckHandover { format } => {
            reload::check(&Config::load(file)?.paths, format)?;
            crate::say::line(format_args!("version {} can take over", env!("CARGO_PKG_VERSION")));
        }
        Command::Enrol(enrol) => self::enrol(file, enrol)?,
        Command::Sweep => {
            let (paths, grace) = match Config::load(file) {
                Ok(config) => {
                    log(&config.log);
                    (config.paths, config.grace)
                }
                // A broken configuration must not keep privileges standing.
                Err(error) => {
                    log("info");
                    tracing::error!("{error}; sweeping the standard places");
                    (Paths::default(), std::time::Duration::from_millis(500))
                }
            };
            for what in sweep::sweep(&paths, grace)?.done {
                tracing::warn!("{what}");
            }
        }
        Command::CheckConfig => {
            Config::load(file)?;
            crate::say::line(format_args!("the configuration is right"));
        }
        Command::Doctor(doctor) => return self::doctor(file, doctor),
        Command::Report(shown) => self::report(file, &shown)?,
        Command::Install(install) => install::install(file, &install)?,
        Command::Uninstall(uninstall) => self::uninstall(&uninstall)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn enrol(file: Option<&std::path::Path>, enrol: Enrol) -> anyhow::Result<()> {
    let config = Config::load(file);
    let (proxy, paths) = match (config, enrol.proxy) {
        (Ok(config), proxy) => (proxy.unwrap_or(config.proxy), config.paths),
        (Err(_), Some(proxy)) if file.is_none() => (proxy, Paths::default()),
        (Err(error), _) => return Err(error.into()),
    };
    let token = token(&enrol.token)?;
    let issued = runtime()?.block_on(uplink::enrol(&proxy, token, &paths))?;
    crate::say::line(format_args!(
        "enrolled as {}; the key and certificate are in {}",
        issued.device,
        paths.state.display()
    ));
    // An sshd that was set up takes certificates for the device that this host was.
    if paths.is_host() && std::path::Path::new(sshd::DROP_IN).exists() {
        let told = site(proxy, true)
            .and_then(|site| Ok(setup::carry_out(&setup::way_in(&site, &issued.device), false)?));
        told.context("the host is enrolled, but sshd does not know it; run: tidegate-agent install")?;
    }
    Ok(())
}

/// This host, as it is set up for a proxy.
fn site(proxy: String, sudo: bool) -> anyhow::Result<Site> {
    Ok(Site {
        root: "/".into(),
        program: std::env::current_exe().context("the program's own file is not to be found")?,
        sshd: Sshd::of_host(&proxy)?,
        proxy,
        sudo,
    })
}

fn doctor(file: Option<&std::path::Path>, doctor: Doctor) -> anyhow::Result<ExitCode> {
    setup_possible(false)?;
    let Doctor { shown, account, from } = doctor;
    let asked = account.map(|account| doctor::Asked { account, from });
    let points = doctor::examine(Config::load(file), asked.as_ref());
    match shown.output {
        Output::Text => points.iter().for_each(|point| crate::say::line(format_args!("{point}"))),
        Output::Json => crate::say::line(format_args!("{}", serde_json::to_string_pretty(&points)?)),
    }
    Ok(ExitCode::from(doctor::status(&points)))
}

fn report(file: Option<&std::path::Path>, shown: &Shown) -> anyhow::Result<()> {
    setup_possible(false)?;
    let paths = Config::load(file).map(|config| config.paths).unwrap_or_default();
    let report = report::of_host(&paths);
    match shown.output {
        Output::Text => crate::say::text(format_args!("{report}")),
        Output::Json => crate::say::line(format_args!("{}", serde_json::to_string_pretty(&report)?)),
    }
    Ok(())
}

/// `-` keeps the token out of the list of processes.
fn token(given: &str) -> anyhow::Result<Token> {
    if given != "-" {
        return Ok(given.parse()?);
    }
    let mut line = String::new();
    std::io::stdin().take(1024).read_to_string(&mut line).context("standard input holds no token")?;
    Ok(line.parse()?)
}

fn uninstall(uninstall: &Uninstall) -> anyhow::Result<()> {
    setup_possible(uninstall.dry_run)?;
    let site = Site {
        root: "/".into(),
        proxy: String::new(),
        // Nothing that goes depends on it, and where /proc is not mounted it is not told.
        program: std::env::current_exe().unwrap_or_default(),
        // Whatever is wrong with sshd, the agent's part of it goes.
        sshd: Sshd::of_host("").unwrap_or_default(),
        sudo: true,
    };
    let systemd = std::path::Path::new(SYSTEMD).exists();
    let (stop, remove) = setup::uninstall(&site, systemd, uninstall.keep);
    setup::carry_out(&stop, uninstall.dry_run)?;
    if !uninstall.dry_run {
        // Nothing may be removed that is needed to take a privilege away.
        let grace = std::time::Duration::from_millis(500);
        let held = sweep::sweep(&Paths::default(), grace)?;
        held.done.iter().for_each(|what| crate::say::line(format_args!("{what}")));
        anyhow::ensure!(!sweep::is_held(&Paths::default()), "an agent still runs; stop it first");
    }
    setup::carry_out(&remove, uninstall.dry_run)?;
    Ok(())
}

fn setup_possible(dry_run: bool) -> anyhow::Result<()> {
    anyhow::ensure!(dry_run || nix::unistd::geteuid().is_root(), "only root can do this; run it with sudo");
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

fn log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(level).unwrap_or_default();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| crate::say::Log)
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .try_init();
}
