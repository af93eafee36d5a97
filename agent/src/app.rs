//! Wiring: one function for each command.

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::{Cli, Command, Enrol};
use crate::config::Config;
use crate::shell::{driver, sweep, uplink};

/// Carries out one command.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Run => {
            let config = Config::load(file)?;
            log(&config.log);
            runtime()?.block_on(driver::run(config))?;
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
                    (crate::paths::Paths::default(), std::time::Duration::from_millis(500))
                }
            };
            for what in sweep::sweep(&paths, grace)?.done {
                tracing::warn!("{what}");
            }
        }
        Command::CheckConfig => {
            Config::load(file)?;
            println!("the configuration is right");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn enrol(file: Option<&std::path::Path>, enrol: Enrol) -> anyhow::Result<()> {
    let config = Config::load(file);
    let (proxy, paths) = match (config, enrol.proxy) {
        (Ok(config), proxy) => (proxy.unwrap_or(config.proxy), config.paths),
        (Err(_), Some(proxy)) if file.is_none() => (proxy, crate::paths::Paths::default()),
        (Err(error), _) => return Err(error.into()),
    };
    let token = enrol.token.parse()?;
    let issued = runtime()?.block_on(uplink::enrol(&proxy, token, &paths))?;
    println!("enrolled as {}; the key and certificate are in {}", issued.device, paths.state.display());
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

fn log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(level).unwrap_or_default();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .try_init();
}
