//! What a user finds who comes without saying what they want.

use serde::Serialize;
use tidegate_common::name::UserName;

use super::access::{self, Reachable};
use super::operation::Operation;
use super::requests::{self, RequestView};
use super::{Actor, Failure, Services};

/// What concerns one user now.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// Who.
    pub user: UserName,
    /// Why nothing new begins on this gate, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<String>,
    /// What they may reach.
    pub reachable: Vec<Reachable>,
    /// Emergencies that nobody has reviewed yet and they may.
    pub emergencies: Vec<RequestView>,
    /// Requests that wait for their vote.
    pub waiting: Vec<RequestView>,
    /// Their own requests that wait or are good.
    pub own: Vec<RequestView>,
}

/// What concerns the actor now.
///
/// # Errors
/// When the actor is no user, or the store fails.
pub async fn overview(services: &Services, actor: &Actor) -> Result<Overview, Failure> {
    let work = async {
        let user = actor.must_be_user()?;
        Ok(Overview {
            user: user.clone(),
            hindrance: services.access.is_current().err().map(|behind| match actor.reads_all() {
                true => behind.detail(),
                false => behind.to_string(),
            }),
            reachable: access::reachable(services, user, actor.origin()),
            emergencies: requests::to_review(services, user).await?,
            waiting: requests::waiting_for(services, user).await?,
            own: requests::own(services, user).await?,
        })
    };
    Operation::Overview.perform(services, actor, work).await
}
