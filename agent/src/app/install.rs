//! `install`: who this host is comes first, then what is changed on it.

use std::path::Path;

use tidegate_common::name::DeviceName;

use super::{runtime, setup_possible, site, token};
use crate::cli::Install;
use crate::config::Config;
use crate::identity::{Identity, Token};
use crate::paths::{Paths, SYSTEMD};
use crate::setup::{self, Running, Site, Work};
use crate::shell::uplink;
use crate::sshd;

/// Sets this host up. A wrong token or address is found before anything is changed, and what
/// fails later is taken back.
pub fn install(file: Option<&Path>, install: &Install) -> anyhow::Result<()> {
    setup_possible(install.dry_run)?;
    let known = Config::load(file).map(|config| config.proxy);
    let proxy = match (&install.proxy, &known) {
        (Some(proxy), _) => proxy.clone(),
        (None, Ok(known)) => known.clone(),
        (None, Err(error)) => anyhow::bail!("where is the proxy? Add --proxy HOST:PORT; {error}"),
    };
    anyhow::ensure!(
        Path::new(SYSTEMD).exists(),
        "this host does not run systemd, which `install` needs; enrol it and start `tidegate-agent run` otherwise"
    );
    let token: Option<Token> = install.token.as_deref().map(token).transpose()?;
    let site = site(proxy, setup::sudo_of_host()?)?;
    let moved = known.ok().as_ref() != Some(&site.proxy);
    let (device, enrolled) = match (enrolled(token.as_ref()), token) {
        (Some((identity, device)), token) => {
            if token.is_some() {
                crate::say::line(format_args!(
                    "this host is enrolled already, the token is not used; `tidegate-agent enrol` enrols anew"
                ));
            }
            if moved {
                let reached = runtime()?.block_on(uplink::reach(&site.proxy, &identity));
                reached.map_err(|error| anyhow::anyhow!("{error}; nothing was changed"))?;
            }
            (Some(device), 0)
        }
        (None, Some(_)) if install.dry_run => {
            crate::say::line(format_args!("would enrol with {}", site.proxy));
            (None, 1)
        }
        (None, Some(token)) => {
            let issued = runtime()?.block_on(uplink::enrol(&site.proxy, token, &Paths::default()))?;
            crate::say::line(format_args!("enrolled as {}", issued.device));
            (Some(issued.device), 1)
        }
        (None, None) => anyhow::bail!(
            "this host is not enrolled, or its certificate has expired; add --token with what `agent token` of the \
             proxy's console prints"
        ),
    };
    let mut work = Work::new(install.dry_run);
    let done = match set_up(&mut work, &site, device.as_ref(), enrolled) {
        Ok(done) => done,
        Err(error) => {
            let stuck = work.undo();
            let left = stuck.iter().map(|error| format!("; and it could not all be taken back: {error}"));
            let again = match enrolled {
                0 => "what was changed was taken back",
                _ => {
                    "what was changed was taken back, but the host stays enrolled: mend it, then the same without --token"
                }
            };
            anyhow::bail!("{error}; {again}{}", left.collect::<String>());
        }
    };
    for remark in setup::remarks(&Paths::default())? {
        crate::say::line(format_args!("mind: {remark}"));
    }
    crate::say::line(format_args!("{}", if done == 0 { "nothing to do" } else { "done" }));
    Ok(())
}

/// Who this host is enrolled as; not one whose certificate has expired, nor with another
/// proxy than the token is of: then the token is meant.
fn enrolled(token: Option<&Token>) -> Option<(Identity, DeviceName)> {
    let identity = Identity::load(&Paths::default()).ok()?;
    let usable = identity.is_valid() && token.is_none_or(|token| identity.is_of(token));
    identity.device().filter(|_| usable).map(|device| (identity, device))
}

/// How many things there were to do, with those `done` before.
fn set_up(
    work: &mut Work,
    site: &Site,
    device: Option<&DeviceName>,
    mut done: usize,
) -> Result<usize, setup::SetupError> {
    let running = Running::on(site, &Paths::default());
    done += work.carry_out(&setup::install(site)?)?;
    match device {
        Some(device) => {
            done += work.carry_out(&setup::way_in(site, device))?;
            if !work.is_dry() {
                setup::in_force(&Paths::default())?;
            }
        }
        None => crate::say::line(format_args!(
            "would write {}, for the device that this host is enrolled as",
            sshd::DROP_IN
        )),
    }
    // What only makes running what is there needs no line of its own when nothing changed.
    let changed = done > 0;
    done += work.carry_out(&setup::start(changed, running))?;
    if changed && running == Running::Reloads {
        crate::say::line(format_args!(
            "the agent that runs makes way for this one: no grant ends by it, and no session"
        ));
    }
    Ok(done)
}
