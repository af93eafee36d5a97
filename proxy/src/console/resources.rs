//! `apply`, `get`, `delete`, `export`.

use tidegate_common::model::{Kind, Resource, ResourceName, Resources};
use tokio::io::AsyncRead;

use super::grammar::{Apply, Delete, Get};
use super::screen::Screen;
use super::show::maybe;
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::access::asks;
use crate::service::resources::{self, Applied};

pub(super) async fn apply(
    services: &Services,
    actor: &Actor,
    asked: Apply,
    screen: &mut Screen<'_>,
    mut stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let Apply { file, called, dry_run } = asked;
    if file != "-" {
        let why = format!("the gate does not read your files; write: apply -f - < {file}");
        return Err(Failure::Usage(why));
    }
    let text = resources::Text { source: &mut stdin, called, dry_run };
    let applied = resources::apply(services, actor, text).await?;
    if screen.json {
        screen.list(&applied, || Table::new([])).await?;
        return Ok(0);
    }
    for Applied { name, result } in &applied {
        let dry = if dry_run { " (dry run)" } else { "" };
        screen.line(&format!("{}/{} {result}{dry}", name.kind.key(), name.name)).await?;
    }
    if applied.is_empty() {
        screen.remark("the text names no resource").await?;
    }
    Ok(0)
}

pub(super) async fn get(
    services: &Services,
    actor: &Actor,
    asked: &Get,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    if let Some(name) = &asked.name {
        let one = resources::get(services, actor, asked.kind, name).await?;
        let document = one.to_json()?;
        let mut alone = Resources::default();
        alone.push(one);
        let text = resources::text(&alone)?;
        screen.one(&document, || text).await?;
        return Ok(0);
    }
    let all = resources::list(services, actor, asked.kind).await?;
    let documents = all.iter().map(Resource::to_json).collect::<Result<Vec<_>, _>>()?;
    let empty = format!("There is no {} yet; `apply` creates resources.", asked.kind);
    screen.list_or(&documents, || table(asked.kind, &all), &empty).await?;
    Ok(0)
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn table(kind: Kind, all: &[Resource]) -> Table {
    let mut table = match kind {
        Kind::User => Table::new(["NAME", "FULL NAME", "EMAIL", "ROLES", "KEYS", "ENABLED"]),
        Kind::Device => Table::new(["NAME", "ADDRESS", "PRODUCT", "TYPE", "SITE", "TAGS", "AGENT"]),
        Kind::Credential => Table::new(["NAME", "TYPE", "TAGS", "PRIVILEGES"]),
        Kind::AccessGroup => Table::new(["NAME", "USERS", "APPROVERS", "SESSION", "PASSWORD", "DESCRIPTION"]),
        Kind::Reason => Table::new(["NAME", "DESCRIPTION"]),
    };
    for resource in all {
        match resource {
            Resource::User(user) => table.row([
                user.name.to_string(),
                maybe(user.full_name.as_ref()),
                maybe(user.email.as_ref()),
                joined(&user.roles),
                user.keys.len().to_string(),
                if user.enabled { "yes" } else { "no" }.to_owned(),
            ]),
            Resource::Device(device) => table.row([
                device.name.to_string(),
                format!("{}:{}", device.host(), device.port),
                maybe(device.product.as_ref()),
                maybe(device.kind.as_ref()),
                maybe(device.site.as_ref()),
                joined(&device.tags),
                if device.agent { "yes" } else { "no" }.to_owned(),
            ]),
            Resource::Credential(credential) => table.row([
                credential.name.to_string(),
                maybe(credential.kind.as_ref()),
                joined(&credential.tags),
                joined(&credential.privileges),
            ]),
            Resource::AccessGroup(group) => table.row([
                group.name.to_string(),
                joined(&group.users),
                joined(&group.approvers.iter().map(|approver| &approver.user).collect::<Vec<_>>()),
                asks(group, group.session.as_ref()),
                asks(group, group.password.as_ref()),
                maybe(group.description.as_ref()),
            ]),
            Resource::Reason(reason) => {
                table.row([reason.name.to_string(), maybe(reason.description.as_ref())]);
            }
        }
    }
    table
}

pub(super) async fn delete(
    services: &Services,
    actor: &Actor,
    asked: &Delete,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let gone = resources::delete(services, actor, asked.kind, &asked.names).await?;
    if screen.json {
        screen.list(&gone, || Table::new([])).await?;
    } else {
        for ResourceName { kind, name } in &gone {
            screen.line(&format!("{}/{name} deleted", kind.key())).await?;
        }
    }
    Ok(0)
}

pub(super) async fn export(
    services: &Services,
    actor: &Actor,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let all = resources::export(services, actor).await?;
    if screen.json {
        screen.one(&all, String::new).await?;
    } else {
        screen.line(resources::text(&all)?.trim_end()).await?;
    }
    Ok(0)
}
