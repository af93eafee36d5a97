//! `[remote_access]`: what is inside, and who may enter from elsewhere.

use std::path::PathBuf;

use tidegate_common::model::Network;
use tidegate_common::name::UserName;
use tidegate_common::time::Length;

use super::read::Reader;
use crate::outside::Settings;

/// See the module.
#[derive(Debug, Clone)]
pub struct RemoteAccess {
    /// What is inside; where nothing is, nobody is outside.
    pub inside: Vec<Network>,
    /// Whether refusals are only told.
    pub report_only: bool,
    /// The GeoIP database's file.
    pub geoip: Option<PathBuf>,
    /// Whether who joins a user group has a remote access, unless the group says otherwise.
    pub automatic: bool,
    /// For how long.
    pub automatic_duration: Length,
    /// Who approves remote accesses; none if they need no approval.
    pub approvers: Vec<UserName>,
    /// How many of them.
    pub approvals: u8,
    /// How long a request waits for them.
    pub pending: Length,
    /// How long the code of a link is good.
    pub code: Length,
    /// How long before its end the user of a remote access is told.
    pub tell_before: Length,
    /// Who else is told.
    pub tell: Vec<UserName>,
}

impl RemoteAccess {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let (approvers, approvals) = ("remote_access.approvers", "remote_access.approvals");
        let read = Self {
            inside: reader
                .list("remote_access.inside", |text| text.parse().map_err(|error| format!("{error}")))
                .unwrap_or_default(),
            report_only: reader.flag("remote_access.report_only", false),
            geoip: reader.optional("remote_access.geoip", path).flatten(),
            automatic: reader.flag("remote_access.automatic", false),
            automatic_duration: reader.parsed("remote_access.automatic_duration", Length::hours(30 * 24)),
            approvers: reader
                .list(approvers, |text| text.parse().map_err(|error| format!("{error}")))
                .unwrap_or_default(),
            approvals: u8::try_from(reader.number(approvals, 1, 1, 9)).unwrap_or(1),
            pending: reader.parsed("remote_access.pending", Length::hours(24)),
            code: reader.parsed("remote_access.code", Length::minutes(60)),
            tell_before: reader.parsed("remote_access.tell_before", Length::hours(24)),
            tell: reader
                .list("remote_access.tell", |text| text.parse().map_err(|error| format!("{error}")))
                .unwrap_or_default(),
        };
        if !read.approvers.is_empty() && read.approvers.len() < usize::from(read.approvals) {
            let why = format!("`{approvals}` is more than `{approvers}` names, so nothing could be approved");
            reader.wrong(approvals, why);
        }
        read
    }
}

/// An absolute path, or none.
fn path(text: &str) -> Result<Option<PathBuf>, String> {
    match PathBuf::from(text) {
        path if path.is_absolute() => Ok(Some(path)),
        _ if text.is_empty() => Ok(None),
        _ => Err(format!("`{}` must be an absolute path", text.escape_default())),
    }
}

impl From<&RemoteAccess> for Settings {
    fn from(settings: &RemoteAccess) -> Self {
        Self {
            approvers: settings.approvers.clone(),
            needed: settings.approvals,
            pending: settings.pending,
            code: settings.code,
            tell_before: settings.tell_before,
            tell: settings.tell.clone(),
            ..Self::default()
        }
    }
}
