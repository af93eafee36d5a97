//! What somebody may reach, and why.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tidegate_common::model::{Action, Snapshot};
use tidegate_common::name::{AccessGroupName, CredentialName, UserName};
use tidegate_common::policy::{self, Decision, GroupVerdict, MatrixFilter, MatrixRow, Reached, Step};

use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::access::AccessError;

/// One credential that a user may reach.
#[derive(Debug, Clone, Serialize)]
pub struct Reachable {
    /// Which.
    pub credential: CredentialName,
    /// Through which access group.
    pub group: AccessGroupName,
    /// What the group asks for, in a few words.
    pub asks: String,
    /// What a session is given on the device, in a few words.
    pub privileges: String,
    /// The device's type, or empty.
    pub device_type: String,
    /// What runs on the device, or empty.
    pub product: String,
    /// When its group stops granting by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes: Option<Timestamp>,
}

/// What a user may reach now; the actor themselves unless another is named.
///
/// # Errors
/// When the other is another and the actor reads only their own, or the actor is no user.
pub async fn list(
    services: &Services,
    actor: &Actor,
    user: Option<&UserName>,
) -> Result<Vec<Reachable>, Failure> {
    let work = async {
        let user = match user {
            Some(other) if actor.name() != Some(other) => {
                actor.must_read_all()?;
                other
            }
            _ => actor.must_be_user()?,
        };
        // Who comes by a limited remote access is shown what it reaches; of others all is told.
        let from = actor.origin().filter(|_| actor.name() == Some(user));
        Ok(reachable(services, user, from))
    };
    Operation::AccessList.perform(services, actor, work).await
}

/// How a decision comes about.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// To what.
    pub credential: CredentialName,
    /// What the address is taken for that they would come from, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What comes of it, as the end of a sentence.
    pub decision: String,
    /// At which moment.
    pub at: Timestamp,
    /// The way to it, step by step.
    pub steps: Vec<Step>,
    /// What each access group says, in the order in which they are asked.
    pub groups: Vec<Explanation>,
    /// Who would go.
    pub user: UserName,
}

/// What one access group says.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Which.
    pub group: AccessGroupName,
    /// What it says.
    #[serde(serialize_with = "sentence")]
    pub verdict: GroupVerdict,
}

fn sentence<S: Serializer>(verdict: &GroupVerdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(verdict)
}

/// How a decision comes about at a moment, now where none is named: step by step, which access group
/// decides, and why the others do not.
///
/// # Errors
/// When the actor reads only their own, or the store fails.
pub async fn explain(
    services: &Services,
    actor: &Actor,
    user: UserName,
    credential: CredentialName,
    action: Action,
    at: Option<Timestamp>,
    from: Option<IpAddr>,
) -> Result<Explained, Failure> {
    let work = async {
        let at = at.unwrap_or_else(Timestamp::now);
        let explained = services.access.explain(&user, &credential, action, from, at).await?;
        let decision = match &explained.decision {
            Decision::Permitted(permit) => {
                let request = permit.request().map(|id| format!(", by request {id}")).unwrap_or_default();
                let end = permit.expires().map(|end| format!(", until {end}")).unwrap_or_default();
                let group = permit.group();
                let excepts = |(name, verdict): &(AccessGroupName, GroupVerdict)| {
                    name == group && matches!(verdict, GroupVerdict::Excepts(_))
                };
                let what = match explained.groups.iter().any(excepts) {
                    true => "exceptional access",
                    false => "access group",
                };
                format!("permitted by {what} `{group}`{request}{end}")
            }
            Decision::Needs(needs) => {
                let change =
                    needs.change.as_ref().map(|need| format!("; it demands an approved change, {need}"));
                let held = needs.held.as_ref().map(|(id, held)| format!("; {}", held.sentence(*id)));
                let (change, held) = (change.unwrap_or_default(), held.unwrap_or_default());
                format!("access group `{}` decides and asks for more{change}{held}", needs.group)
            }
            Decision::Refused(refusal) => format!("refused: {}", refusal.why()),
        };
        let groups = explained.groups.into_iter().map(|(group, verdict)| Explanation { group, verdict });
        let place = from.map(|from| services.access.taken_for(&user, from));
        let (groups, steps) = (groups.collect(), explained.steps);
        Ok(Explained { credential, place, decision, at, steps, groups, user })
    };
    Operation::AccessExplain.perform(services, actor, work).await
}

/// So many accesses are listed at once.
const MOST_LISTED: usize = 100_000;

/// Every access that some group gives, whenever it is open.
///
/// # Errors
/// When the actor reads only their own, or there are too many to be listed at once.
pub async fn matrix(
    services: &Services,
    actor: &Actor,
    filter: MatrixFilter,
) -> Result<Vec<MatrixRow>, Failure> {
    let work = async {
        let snapshot = services.access.snapshot();
        let listed = move || {
            let rows = policy::matrix(&snapshot, &filter, Timestamp::now());
            rows.take(MOST_LISTED + 1).collect::<Vec<_>>()
        };
        let rows = tokio::task::spawn_blocking(listed).await.map_err(|_| AccessError::Stopping)?;
        if rows.len() > MOST_LISTED {
            let why = format!(
                "there are more than {MOST_LISTED} accesses; ask for those of one user, one device or one access \
                 group at a time"
            );
            return Err(Failure::Missing(why));
        }
        Ok(rows)
    };
    Operation::AccessMatrix.perform(services, actor, work).await
}

pub(super) fn reachable(services: &Services, user: &UserName, from: Option<IpAddr>) -> Vec<Reachable> {
    let line = |snapshot: &Snapshot, Reached { credential, group, closes }: Reached<'_>| {
        let device = snapshot.device(&credential.name.device);
        let text = |label: Option<&tidegate_common::model::Label>| {
            label.map(ToString::to_string).unwrap_or_default()
        };
        let privileges: Vec<_> = credential.privileges.iter().map(ToString::to_string).collect();
        Reachable {
            credential: credential.name.clone(),
            group: group.name.clone(),
            asks: group.asks(group.session.as_ref()),
            privileges: privileges.join(", "),
            device_type: text(device.and_then(|device| device.kind.as_ref())),
            product: text(device.and_then(|device| device.product.as_ref())),
            closes,
        }
    };
    services.access.reachable(user, from, Action::Session, Timestamp::now(), line)
}
