//! A credential's password shown to a person, under the *password* terms of the access group that
//! governs.

use std::future::Future;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tidegate_common::audit::{Event, Note};
use tidegate_common::id::RequestId;
use tidegate_common::model::{Action, Claims};
use tidegate_common::name::{AccessGroupName, CredentialName};
use tidegate_common::policy::{Decision, EndReason, Needs, NoEntry, Permit};
use tidegate_common::secret::Secret;

use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::access::Access;
use crate::audit_log::AuditError;
use crate::governance::Checked;
use crate::requests::RequestError;
use crate::store::Store;
use crate::vault::CredentialSecret;

/// How long one that waits for its end sleeps at most, in case the clock is set.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// What is shown.
#[derive(Debug, Clone, Serialize)]
pub struct ShownPassword {
    /// Whose it is.
    pub credential: CredentialName,
    /// Through which access group.
    pub group: AccessGroupName,
    /// The request that it rests on, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// It.
    #[serde(serialize_with = "revealed")]
    pub password: Secret,
}

fn revealed<S: Serializer>(password: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(password.reveal())
}

/// What shows a password to a person.
pub trait PasswordViewer: Send {
    /// Shows it, until it was looked at. May be dropped in the middle, and then is asked to clear it.
    ///
    /// # Errors
    /// When it can't be shown.
    fn show(&mut self, shown: &ShownPassword) -> impl Future<Output = std::io::Result<()>> + Send;

    /// Takes it away, where it stays to be seen.
    ///
    /// # Errors
    /// When it can't be.
    fn clear(&mut self) -> impl Future<Output = std::io::Result<()>> + Send;
}

/// Shows a credential's password, for as long as policy permits that. The log has it before it is shown.
///
/// # Errors
/// When policy does not permit it or asks for more, there is no password, or the store fails.
pub async fn show(
    services: &Services,
    actor: &Actor,
    credential: &CredentialName,
    claims: &Claims,
    viewer: &mut impl PasswordViewer,
) -> Result<(), Failure> {
    // Boxed: a future that is handed on is copied each time.
    let work = Box::pin(async {
        let (permit, checked) = permitted(services, actor, credential, claims).await?;
        let password = match services.vault.secret(credential).await? {
            Some(CredentialSecret::Password(password)) => password,
            Some(CredentialSecret::PrivateKey(_)) => {
                let why = "is a private key, which logs the gate in and is shown to nobody";
                return Err(Failure::NotNow(format!("the secret of {credential} {why}")));
            }
            None => {
                return Err(Failure::Missing(format!("there is no password of {credential} in the vault")));
            }
        };
        log(services, actor, &permit, &checked).await?;
        let (group, request) = (permit.group().clone(), permit.request());
        let shown = ShownPassword { credential: credential.clone(), group, request, password };
        let looked_at = tokio::select! {
            looked_at = viewer.show(&shown) => looked_at.map_err(Failure::from),
            why = until_withdrawn(&services.access, &permit) => Err(Failure::NotNow(why.to_string())),
        };
        viewer.clear().await?;
        looked_at
    });
    Operation::PasswordShow.perform(services, actor, work).await
}

/// Asks policy, with what is claimed and what was approved; and what came of the governance code.
async fn permitted(
    services: &Services,
    actor: &Actor,
    credential: &CredentialName,
    claims: &Claims,
) -> Result<(Permit, Checked), Failure> {
    let (proved, access) = (actor.must_be_proved()?, &services.access);
    let (action, origin) = (Action::ViewPassword, proved.origin);
    let checked = access.checked(claims.governance.as_ref()).await;
    match access.decide_checked(&proved, credential, action, origin, claims, &checked).await? {
        Decision::Permitted(permit) => Ok((permit, checked)),
        Decision::Refused(refusal) => Err(RequestError::Refused(refusal.into()).into()),
        Decision::Needs(needs) => Err(asks(credential, needs)),
    }
}

/// What is missing, and how to come by it.
fn asks(credential: &CredentialName, needs: Needs) -> Failure {
    let Some(approval) = &needs.approval else {
        return RequestError::Missing(Box::new(needs)).into();
    };
    if let Some((id, held)) = &needs.held
        && (held.opens() || approval.waiting.is_none())
    {
        return Failure::NotNow(held.sentence(*id));
    }
    if let Some(id) = approval.waiting {
        return RequestError::Waiting { id, target: credential.clone() }.into();
    }
    Failure::NotNow(format!(
        "to view the password of {credential} needs approval: `request create {credential} --view-password` asks \
         for it"
    ))
}

/// Has it in the log, and counted where it is permitted so many times only.
async fn log(services: &Services, actor: &Actor, permit: &Permit, checked: &Checked) -> Result<(), Failure> {
    let claims = permit.claims();
    let event = Event::PasswordViewed {
        user: permit.user().clone(),
        target: permit.target().clone(),
        group: permit.group().clone(),
        request: permit.request(),
        justification: claims.justification.as_ref().map(|text| Note::new(text.to_string())),
        reason: claims.reason.clone(),
        emergency: permit.emergency(),
    };
    let what = format!("the password of {}", permit.target());
    let unchecked = services.requests.unchecked(checked, permit, &what).await;
    let events = std::iter::once(event).chain(unchecked).map(|event| actor.by().did(event)).collect();
    let logged = services.audit.step(events, Store::password_viewed_step(permit)).await;
    if let Some((access, most)) = permit.counted() {
        // Another use, at the same moment, may have been the last.
        if logged.as_ref().is_err_and(AuditError::is_changed) {
            return Err(Failure::NotNow(NoEntry::Used(access, most).to_string()));
        }
        if let Err(error) = services.access.refresh_remote_accesses().await {
            tracing::error!(%error, "how many sessions of a remote access are left is not seen yet");
        }
    }
    logged.map_err(|error| match error.spent() {
        Some(spent) => Failure::NotNow(spent.to_string()),
        None => error.into(),
    })
}

/// Returns when it is not permitted any more.
async fn until_withdrawn(access: &Access, permit: &Permit) -> EndReason {
    let mut changed = access.changed();
    // What has changed since it was decided counts, too.
    changed.mark_changed();
    loop {
        tokio::select! {
            changed = changed.changed() => if changed.is_err() {
                return EndReason::Unchecked;
            },
            () = passed(permit.expires()) => {}
        }
        if let Err(why) = access.still_permits(permit).await {
            return why;
        }
    }
}

/// Waits for a moment of the wall clock; for ever where there is none.
async fn passed(moment: Option<Timestamp>) {
    let Some(moment) = moment else { return std::future::pending().await };
    let left = std::time::Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(left.min(LOOK_AGAIN)).await;
}
