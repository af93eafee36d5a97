//! Each record in one line, for `audit tail`.

mod aside;

use std::fmt;

use self::aside::{Also, Aside};
use super::{Actor, CommandSource, Event, Record};
use crate::id::RequestId;

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => f.pad(user.as_str()),
            Self::LocalAdmin => f.pad("local admin"),
            Self::Agent(device) => f.pad(&format!("agent of {device}")),
            Self::Proxy => f.pad("proxy"),
        }
    }
}

/// Number, time in UTC, who from where, and what; never more than one line.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, at, actor, origin, event } = self;
        let from = origin.map(|origin| format!(" from {origin}")).unwrap_or_default();
        write!(f, "{seq:>6}  {at:.3}  {actor}{from}: {event}")
    }
}

fn emergency(emergency: bool) -> &'static str {
    if emergency { " in an EMERGENCY" } else { "" }
}

fn vote(f: &mut fmt::Formatter<'_>, request: RequestId, what: &str, level: u8, state: &str) -> fmt::Result {
    write!(f, "request {request} {what} at level {level}, {state}")
}

impl fmt::Display for Event {
    #[allow(clippy::too_many_lines)] // one arm for each event
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProxyStarted { version } => write!(f, "proxy {version} started"),
            Self::ProxyStopped { why } => write!(f, "proxy stopped: {why}"),
            Self::AuditVerified { records, whole: true } => {
                write!(f, "audit log verified, {records} records")
            }
            Self::AuditDropped { records } => {
                write!(
                    f,
                    "the log could not be written for long: {records} records of what had happened are lost"
                )
            }
            Self::AuditVerified { records, whole: false } => {
                write!(f, "audit log does NOT verify, only {records} records hold")
            }
            Self::LoginAccepted { user, method, key } => write!(f, "{user} logged in by {method} {key}"),
            Self::LoginRefused { user, why } => write!(f, "login of `{user}` refused: {why}"),
            Self::EntryReported { user, why } => write!(f, "{user} would be refused: {why}"),
            Self::RemoteAccess { access, user, group, step, said } => {
                write!(f, "remote access {access} of {user} in {group} {step}")?;
                if said.is_empty() { Ok(()) } else { write!(f, ": {said}") }
            }
            Self::LocationsRead { file } => write!(f, "the GeoIP database {file} is in use"),
            Self::LocationsRefused { why } => write!(f, "a GeoIP database was not taken: {why}"),
            Self::SessionRequested { session, user, target } => {
                write!(f, "session {session}: {user} asks for {target}")
            }
            Self::SessionAdmitted {
                session,
                user,
                target,
                group,
                request,
                justification,
                reason,
                change,
                emergency: urgent,
                expires,
            } => {
                write!(
                    f,
                    "session {session}: {user} admitted to {target} by group {group}{}",
                    emergency(*urgent)
                )?;
                write!(f, "{}{}", Aside("request", request), Aside("reason", reason))?;
                write!(f, "{}{}", Aside("change", change), Aside("until", expires))?;
                write!(f, "{}", Aside("justification", justification))
            }
            Self::SessionRefused { session, user, target, why } => {
                write!(f, "session {session}: {user} refused to {target}: {why}")
            }
            Self::SessionStarted { session, user, target, recording } => {
                write!(f, "session {session}: {user} on {target} started, recorded in {recording}")
            }
            Self::SessionKillOrdered { session } => write!(f, "session {session}: ordered to end"),
            Self::SessionWatched { session } => write!(f, "session {session}: is being watched"),
            Self::SessionWatchEnded { session } => write!(f, "session {session}: no longer watched"),
            Self::KeyboardLocked { session } => write!(f, "session {session}: its keyboard is locked"),
            Self::KeyboardUnlocked { session } => write!(f, "session {session}: its keyboard is unlocked"),
            Self::SessionEnded { session, user, target, cause, detail, millis, bytes_in, bytes_out } => {
                write!(f, "session {session}: {user} on {target} ended after {} s: {cause}", millis / 1000)?;
                write!(f, "{}, {bytes_in} bytes in, {bytes_out} out", Aside("detail", detail))
            }
            Self::ChannelOpened { session, channel, kind } => {
                write!(f, "session {session}: channel {channel} asked for: {kind}")
            }
            Self::ChannelRefused { session, kind, why } => {
                write!(f, "session {session}: channel refused: {kind}: {why}")
            }
            Self::ChannelClosed { session, channel, exit, bytes_in, bytes_out } => {
                write!(f, "session {session}: channel {channel} closed{}", Aside("exit", exit))?;
                write!(f, ", {bytes_in} bytes in, {bytes_out} out")
            }
            Self::ForwardOpened { session, kind, to, from } => {
                write!(f, "session {session}: {kind} to {to} asked for{}", Aside("from", from))
            }
            Self::ForwardClosed { session, channel: None, kind, to, why: Some(why), .. }
                if kind.is_connection() =>
            {
                write!(f, "session {session}: {kind} to {to} failed: {why}")
            }
            Self::ForwardClosed { session, channel: None, kind, to, why, .. } => {
                write!(f, "session {session}: {kind} to {to} closed{}", Aside("why", why))
            }
            Self::ForwardClosed { session, channel, kind, to, why, bytes_in, bytes_out } => {
                write!(f, "session {session}: {kind} to {to} closed{}", Aside("channel", channel))?;
                write!(f, "{}, {bytes_in} bytes in, {bytes_out} out", Aside("why", why))
            }
            Self::ForwardRefused { session: Some(session), kind, to, why } => {
                write!(f, "session {session}: {kind} to {to} refused: {why}")
            }
            Self::ForwardRefused { session: None, kind, to, why } => {
                write!(f, "{kind} to {to} refused: {why}")
            }
            Self::CommandRun { session, channel, source, command } => {
                // The exec request is logged before it reaches the device.
                let verb = if *source == CommandSource::Exec { "asked to run" } else { "ran" };
                write!(f, "session {session}: channel {channel} {verb} ({source}): {command}")
            }
            Self::TypedNotListed { session, channel, more } => {
                write!(f, "session {session}: channel {channel}: {more} more typed lines are not listed")
            }
            Self::CommandsWitnessed { session, target, execs, lost, link } => {
                write!(
                    f,
                    "session {session}: the kernel on {target} saw {execs} commands, {lost} lost, link {link}"
                )
            }
            Self::FileTransferred { session, channel, transfer } => {
                write!(f, "session {session}: channel {channel} {transfer}")?;
                write!(f, "{}{}", Aside("sha256", &transfer.sha256), Aside("detail", &transfer.detail))
            }
            Self::FileChanged { session, channel, changed } => {
                write!(f, "session {session}: channel {channel} {changed}")?;
                write!(f, "{}{}", Aside("set", &changed.attributes), Aside("detail", &changed.detail))
            }
            Self::TransfersNotFollowed { session, channel, why } => {
                write!(
                    f,
                    "session {session}: channel {channel}: the rest of its transfers is NOT known: {why}"
                )
            }
            Self::TransfersNotListed { session, channel, more } => {
                write!(
                    f,
                    "session {session}: channel {channel}: {more} more transfers and changes are not listed"
                )
            }
            Self::GrantOrdered { session, target, privileges } => {
                write!(f, "session {session}: grant on {target} ordered{}", Also("privileges", privileges))
            }
            Self::GrantApplied { session, target, applied, micros } => {
                write!(
                    f,
                    "session {session}: grant on {target} applied in {micros} µs{}",
                    Also("changes", applied)
                )
            }
            Self::GrantRefused { session, target, why } => {
                write!(f, "session {session}: grant on {target} refused, nothing is left of it: {why}")
            }
            Self::GrantExtensionOrdered { session, target, until } => {
                write!(f, "session {session}: grant on {target} ordered to end later, at {until}")
            }
            Self::GrantExtended { session, target, until } => {
                write!(f, "session {session}: grant on {target} ends at {until} instead")
            }
            Self::GrantExtensionRefused { session, target, until, why } => {
                write!(f, "session {session}: grant on {target} will not end later, at {until}: {why}")
            }
            Self::GrantEnded { session, target, drift, leftovers, micros } => {
                write!(
                    f,
                    "session {session}: grant on {target} ended in {micros} µs, the host is what it was"
                )?;
                write!(f, "{}{}", Also("changed by others", drift), Also("processes ended", leftovers))
            }
            Self::GrantStanding { session, target, standing, drift, leftovers } => {
                write!(f, "session {session}: grant on {target} still STANDING: {standing}")?;
                write!(f, "{}{}", Also("changed by others", drift), Also("processes ended", leftovers))
            }
            Self::GrantCleared { session, target, gone } => {
                write!(f, "session {session}: no longer standing on {target}: {gone}")
            }
            Self::ResidueReported { session, target, findings, more, unseen } => {
                let found = if findings.is_empty() { "nothing left behind" } else { "left behind" };
                write!(f, "session {session}: {found} on {target}{}", Also("found", findings))?;
                if *more > 0 {
                    write!(f, ", and {more} more")?;
                }
                write!(f, "{}", Also("not looked at", unseen))
            }
            Self::RequestCreated {
                request,
                user,
                targets,
                asked,
                justification,
                reason,
                change,
                governance,
                emergency: urgent,
                from,
                until,
                limits,
                extends,
            } => {
                write!(f, "request {request}: {user} asks for {asked} on {targets}{}", emergency(*urgent))?;
                write!(f, "{}{}", Aside("more time for request", extends), Aside("only", limits))?;
                write!(f, "{}{}", Aside("from", from), Aside("until", until))?;
                write!(f, "{}{}", Aside("reason", reason), Aside("change", change))?;
                write!(f, "{}{}", Aside("governance", governance), Aside("justification", justification))
            }
            Self::RequestApproved {
                request,
                level,
                comment,
                complete,
                from,
                until,
                left_out,
                stands_in_for,
            } => {
                vote(
                    f,
                    *request,
                    "approved",
                    *level,
                    if *complete { "complete" } else { "more are needed" },
                )?;
                write!(f, "{}{}", Aside("from", from), Aside("until", until))?;
                write!(f, "{}{}", Aside("for", stands_in_for), Aside("left out", left_out))?;
                write!(f, "{}", Aside("comment", comment))
            }
            Self::RequestExtended { request, by, until } => {
                write!(f, "request {request} goes on until {until}: request {by} asked for more time")
            }
            Self::RequestRejected { request, level, comment, complete, stands_in_for } => {
                vote(f, *request, "rejected", *level, if *complete { "final" } else { "not yet final" })?;
                write!(f, "{}", Aside("for", stands_in_for))?;
                write!(f, "{}", Aside("comment", comment))
            }
            Self::RequestCancelled { request, comment } => {
                write!(f, "request {request} cancelled{}", Aside("comment", comment))
            }
            Self::RequestRevoked { request, comment } => {
                write!(f, "request {request} revoked{}", Aside("comment", comment))
            }
            Self::RequestReviewed { request, comment } => {
                write!(f, "request {request}, an emergency, reviewed{}", Aside("comment", comment))
            }
            Self::RequestExpired { request } => write!(f, "request {request} expired"),
            Self::GovernanceUnchecked { code, taken_for, why } => {
                write!(f, "governance code {code} was taken UNCHECKED for {taken_for}: {why}")
            }
            Self::ChangeStepped { change, did } => write!(f, "change {change} {did}"),
            Self::CommandUnexpected { session, change, source, command } => {
                write!(f, "session {session}: UNEXPECTED by change {change}, {source}: {command}")
            }
            Self::SessionCompared { session, change, matched, unexpected, missing } => {
                write!(f, "session {session}: compared with change {change}: {matched} matched, ")?;
                write!(f, "{unexpected} unexpected, {missing} missing")
            }
            Self::ResourceApplied { kind, name, verb } => write!(f, "{kind} {name} {verb}"),
            Self::ResourceDeleted { kind, name } => write!(f, "{kind} {name} deleted"),
            Self::GroupConfirmed { group, users, due, stands_in_for } => {
                let (place, users) = (Aside("for", stands_in_for), Also("users", users));
                write!(f, "access group {group}: confirmed until {due:.0}{place}{users}")
            }
            Self::GroupReviewDue { group, lapses } => {
                write!(f, "access group {group}: to be confirmed, or it grants nothing from {lapses:.0} on")
            }
            Self::PanicBegan { scope, justification } => {
                write!(f, "PANIC: {scope} stopped, justification: {justification}")
            }
            Self::SecretSet { credential, kind } => {
                write!(f, "the {kind} of {credential} was put into the vault")
            }
            Self::SecretForgotten { credential } => {
                write!(f, "the secret of {credential} was taken out of the vault")
            }
            Self::PasswordViewed {
                user,
                target,
                group,
                request,
                justification,
                reason,
                emergency: urgent,
            } => {
                write!(
                    f,
                    "the password of {target} is shown to {user} by group {group}{}",
                    emergency(*urgent)
                )?;
                write!(f, "{}{}", Aside("request", request), Aside("reason", reason))?;
                write!(f, "{}", Aside("justification", justification))
            }
            Self::SecretsRewrapped { key, secrets } => {
                write!(f, "{secrets} secrets are under the master key {key}")
            }
            Self::PanicLifted { scope } => write!(f, "panic lifted: {scope} may begin again"),
            Self::ConsoleCommand { command } => write!(f, "console: {command}"),
            Self::ConsoleRefused { command, why } => write!(f, "console: {command}: refused: {why}"),
            Self::DiskLow { place, free, floor } => {
                write!(
                    f,
                    "{} MiB are free for {place}, and below {} MiB sessions end",
                    free >> 20,
                    floor >> 20
                )
            }
            Self::NotificationFailed { notification, notice, recipient, channel, why } => {
                write!(
                    f,
                    "notification {notification} ({notice}) to {recipient} by {channel} is given up: {why}"
                )
            }
            Self::NotificationRetried { notification, notice, recipient, channel } => {
                write!(f, "notification {notification} ({notice}) to {recipient} by {channel} is tried again")
            }
            Self::NotificationTested { user, channels } => {
                write!(f, "a test of notices to {user} by {channels}")
            }
            Self::TokenMinted { device, expires } => {
                write!(f, "token for {device} made, valid until {expires}")
            }
            Self::TokenRefused { why } => write!(f, "token refused: {why}"),
            Self::RefusalsSummedUp { since, refused } => {
                write!(f, "more was refused from there, since {since:.0}: {refused}")
            }
            Self::AgentEnrolled { device, certificate } => {
                write!(f, "agent of {device} enrolled, certificate {certificate}")
            }
            Self::AgentRenewed { device, certificate } => {
                write!(f, "agent of {device} has a new certificate {certificate}")
            }
            Self::AgentConnected { device, version } => {
                write!(f, "agent of {device} connected, version {version}")
            }
            Self::AgentLost { device, why } => write!(f, "agent of {device} lost: {why}"),
            Self::AgentRefused { device: Some(device), why } => {
                write!(f, "agent of `{device}` refused: {why}")
            }
            Self::AgentRefused { device: None, why } => write!(f, "an agent refused: {why}"),
            Self::AgentRevoked { device } => write!(f, "agent of {device} revoked"),
            Self::HostKeysChanged { device, before, now } => {
                write!(f, "host keys of {device} changed{}{}", Also("before", before), Also("now", now))
            }
            Self::HostKeysRefused { device, keys } => {
                write!(f, "agent of {device} vouches for host keys of OTHER devices, refused: {keys}")
            }
            Self::AgentSummedUp { device, since, more } => {
                write!(f, "agent of {device} told more than is taken in an hour, since {since:.0}: {more}")
            }
            Self::RecordingSealed { session, bytes, frames, link } => {
                write!(f, "session {session}: recording sealed, {frames} frames, {bytes} bytes, link {link}")
            }
            Self::RecordingFailed { session, why } => write!(f, "session {session}: recording FAILED: {why}"),
            Self::RecordingIncomplete { file } => write!(f, "recording {file} was never sealed: incomplete"),
            Self::RecordingPlayed { session } => write!(f, "session {session}: recording played"),
            Self::RecordingVerified { session, verdict } => {
                write!(f, "session {session}: recording verified: {verdict}")
            }
            Self::CommandsVerified { session, verdict } => {
                write!(f, "session {session}: what the kernel saw verified: {verdict}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
