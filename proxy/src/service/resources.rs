//! What is configured: resources written, shown, deleted and handed out.

use serde::Serialize;
use tidegate_common::model::{Kind, Resource, ResourceName, Resources, Written};
use tidegate_common::policy::Effect;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::access::{self, AccessError};
use crate::store::Revision;

/// So many accesses of a kind a dry run names; it counts all.
const TOLD: usize = 1_000;

/// As much as a text of resources may be, in bytes.
const MOST: u64 = 16 << 20;

/// What a text did with one of its resources.
#[derive(Debug, Clone, Serialize)]
pub struct Applied {
    /// Which.
    #[serde(flatten)]
    pub name: ResourceName,
    /// What became of it.
    pub result: Written,
}

/// What a text did, or with a dry run would do.
#[derive(Debug, Clone, Serialize)]
pub struct AppliedAll {
    /// Each of its resources, in its order.
    pub resources: Vec<Applied>,
    /// Who would gain and who would lose what; told of dry runs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// A text of resources.
pub struct Text<'a> {
    /// TOML in UTF-8, at most 16 MiB. Nothing is read of it for whoever may not apply it.
    pub source: &'a mut (dyn AsyncRead + Unpin + Send),
    /// What it is called where it is wrong.
    pub called: Option<String>,
    /// Whether only to tell what would change.
    pub dry_run: bool,
    /// Whether it counts though what it writes was changed since it was exported.
    pub force: bool,
}

/// Writes what a text says, all or nothing, and tells of each resource in its order; a dry run tells
/// who would gain and who would lose what, too.
///
/// # Errors
/// When the actor is no administrator; every mistake of the text; or nothing could be written.
pub async fn apply(services: &Services, actor: &Actor, text: Text<'_>) -> Result<AppliedAll, Failure> {
    let work = async {
        let Text { source, called, dry_run, force } = text;
        let mut bytes = Vec::new();
        source.take(MOST + 1).read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::NotText)?;
        let by = actor.by();
        let access = &services.access;
        let written = match (dry_run, force) {
            (true, _) => {
                let tried = access.try_out(&text, &by, TOLD, force).await;
                tried.map(|(told, effect)| (told, Some(effect)))
            }
            (false, false) => access.apply(&text, &by, false).await.map(|told| (told, None)),
            (false, true) => access.overwrite(&text, &by).await.map(|told| (told, None)),
        };
        let (written, effect) = written.map_err(|error| match (error, called) {
            (AccessError::Mistakes(mistakes), Some(file)) => Failure::Mistakes { file, mistakes },
            (error, _) => error.into(),
        })?;
        let resources = written.into_iter().map(|(name, result)| Applied { name, result }).collect();
        Ok(AppliedAll { resources, effect })
    };
    Operation::ResourcesApply.perform(services, actor, work).await
}

/// Every resource of a kind, the oldest first; limited users after the other users.
///
/// # Errors
/// When the actor reads only their own, or the store fails.
pub async fn list(services: &Services, actor: &Actor, kind: Kind) -> Result<Vec<Resource>, Failure> {
    let work = async { Ok(services.access.resources().await?.shown(kind)) };
    Operation::ResourcesList.perform(services, actor, work).await
}

/// One resource, with the revision that it is at least of.
///
/// # Errors
/// When the actor reads only their own, there is none of the name, or the store fails.
pub async fn get(
    services: &Services,
    actor: &Actor,
    kind: Kind,
    name: &str,
) -> Result<(Resource, Revision), Failure> {
    let work = async {
        let (all, revision) = services.access.resources_of_revision().await?;
        let one = all.shown(kind).into_iter().find(|resource| resource.name().name == name);
        let one = one.ok_or_else(|| AccessError::Unknown(ResourceName { kind, name: name.to_owned() }))?;
        Ok((one, revision))
    };
    Operation::ResourcesGet.perform(services, actor, work).await
}

/// Deletes resources, all or none, and tells which.
///
/// # Errors
/// When the actor is no administrator, one is not there or in use, or nothing could be written.
pub async fn delete(
    services: &Services,
    actor: &Actor,
    kind: Kind,
    names: &[String],
) -> Result<Vec<ResourceName>, Failure> {
    let work = async {
        let which: Vec<_> = names.iter().map(|name| ResourceName { kind, name: name.clone() }).collect();
        services.access.delete(&which, &actor.by()).await?;
        Ok(which)
    };
    Operation::ResourcesDelete.perform(services, actor, work).await
}

/// Everything that is configured, with the revision that it is at least of; [`text`] makes of it
/// what [`apply`] takes.
///
/// # Errors
/// When the actor reads only their own, or the store fails.
pub async fn export(services: &Services, actor: &Actor) -> Result<(Resources, Revision), Failure> {
    let work = async { Ok(services.access.resources_of_revision().await?) };
    Operation::ResourcesExport.perform(services, actor, work).await
}

/// Resources as a text that [`apply`] takes, and that says of which revision they are.
///
/// # Errors
/// Never for resources that were applied; the serializer's signature has it.
pub fn text(resources: &Resources, revision: Revision) -> Result<String, Failure> {
    let text = resources.to_toml().map_err(|error| AccessError::Print(error.to_string()))?;
    Ok(access::head(revision) + &text)
}
