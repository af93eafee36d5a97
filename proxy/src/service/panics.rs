//! Panic: what is stopped at once, with all that lives of it, until it is lifted.

use tidegate_common::model::{Panic, PanicScope, Text};
use tidegate_common::name::UserName;

use super::operation::Operation;
use super::{Actor, Failure, Services};

/// Whether it would keep the actor out, who could lift it.
#[must_use]
pub fn is_own(actor: &Actor, scope: &PanicScope) -> bool {
    let own = |name: &UserName| actor.name() == Some(name) && actor.must_be_admin().is_ok();
    matches!(scope, PanicScope::User(name) if own(name))
}

/// Stops a user, a device, an access group or everything.
///
/// # Errors
/// When the actor is no administrator, there is no such thing, it is stopped already, or the store
/// fails.
pub async fn begin(
    services: &Services,
    actor: &Actor,
    scope: PanicScope,
    justification: Text,
) -> Result<Panic, Failure> {
    let work = async { Ok(services.access.begin_panic(scope, justification, &actor.by()).await?) };
    Operation::PanicBegin.perform(services, actor, work).await
}

/// Lets it begin again.
///
/// # Errors
/// When the actor is no administrator, it is not stopped, or the store fails.
pub async fn lift(services: &Services, actor: &Actor, scope: &PanicScope) -> Result<(), Failure> {
    let work = async { Ok(services.access.lift_panic(scope, &actor.by()).await?) };
    Operation::PanicLift.perform(services, actor, work).await
}

/// What is stopped, the oldest panic first.
///
/// # Errors
/// When the actor reads only their own.
pub async fn list(services: &Services, actor: &Actor) -> Result<Vec<Panic>, Failure> {
    let work = async { Ok(services.access.snapshot().rulings().panics.clone()) };
    Operation::PanicList.perform(services, actor, work).await
}
