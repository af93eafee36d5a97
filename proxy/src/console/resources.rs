//! `apply`, `get`, `delete`, `export`, `access`.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::model::{
    AccessGroup, Action, Approval, Kind, Resource, ResourceName, Resources, Terms, Written,
};
use tidegate_common::name::UserName;
use tidegate_common::policy::{self, Decision, GroupVerdict, Miss};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::grammar::{Access, Apply, Delete, Get};
use super::screen::Screen;
use super::show::{maybe, until};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::access::AccessError;

/// As much as a text of resources may be.
const MOST: u64 = 16 << 20;

pub(super) async fn apply(
    services: &Services,
    actor: &Actor,
    asked: &Apply,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    actor.must_be_admin()?;
    if asked.file != "-" {
        let why = format!("the gate does not read your files; write: apply -f - < {}", asked.file);
        return Err(Failure::Usage(why));
    }
    let mut text = Vec::new();
    stdin.take(MOST + 1).read_to_end(&mut text).await?;
    let text = String::from_utf8(text).map_err(|_| Failure::Usage("the text is not UTF-8".to_owned()))?;
    let written = services.access.apply(&text, &actor.by(), asked.dry_run).await.map_err(|error| {
        match (error, &asked.called) {
            (AccessError::Mistakes(mistakes), Some(file)) => {
                Failure::Mistakes { file: file.clone(), mistakes }
            }
            (error, _) => error.into(),
        }
    })?;
    #[derive(Serialize)]
    struct Line {
        #[serde(flatten)]
        name: ResourceName,
        result: Written,
    }
    let lines: Vec<_> = written.into_iter().map(|(name, result)| Line { name, result }).collect();
    if screen.json {
        screen.list(&lines, || Table::new([])).await?;
        return Ok(0);
    }
    for Line { name, result } in &lines {
        let dry = if asked.dry_run { " (dry run)" } else { "" };
        screen.line(&format!("{}/{} {result}{dry}", name.kind.key(), name.name)).await?;
    }
    if lines.is_empty() {
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
    actor.must_read_all()?;
    let all = services.access.resources().await?.of_kind(asked.kind);
    if let Some(name) = &asked.name {
        let one = all.into_iter().find(|resource| resource.name().name == *name);
        let missing = || Failure::Missing(format!("there is no {} `{}`", asked.kind, name.escape_default()));
        let one = one.ok_or_else(missing)?;
        let document = one.to_json()?;
        let mut alone = Resources::default();
        alone.push(one);
        let text = alone.to_toml().map_err(|error| Failure::Missing(error.to_string()))?;
        screen.one(&document, || text).await?;
        return Ok(0);
    }
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

/// What an action asks for, in a few words.
fn asks(group: &AccessGroup, terms: Option<&Terms>) -> String {
    let Some(terms) = terms else { return "not allowed".to_owned() };
    let approvals = |approval: &Approval| {
        let levels = if approval.levels { " in each level" } else { "" };
        match approval.needed {
            1 => format!("1 approval{levels}"),
            needed => format!("{needed} approvals{levels}"),
        }
    };
    let parts = [
        terms.approval.as_ref().map(approvals),
        terms.change.then(|| "a change id".to_owned()),
        terms.justification.then(|| "a justification".to_owned()),
        group.request.governance.then(|| "a governance code".to_owned()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

pub(super) async fn delete(
    services: &Services,
    actor: &Actor,
    asked: &Delete,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    actor.must_be_admin()?;
    let which = |name: &String| ResourceName { kind: asked.kind, name: name.clone() };
    let which: Vec<_> = asked.names.iter().map(which).collect();
    services.access.delete(&which, &actor.by()).await?;
    if screen.json {
        screen.list(&which, || Table::new([])).await?;
    } else {
        for ResourceName { kind, name } in &which {
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
    actor.must_read_all()?;
    if screen.json {
        let resources = services.access.resources().await?;
        screen.one(&resources, String::new).await?;
    } else {
        screen.line(services.access.export().await?.trim_end()).await?;
    }
    Ok(0)
}

pub(super) async fn access(
    services: &Services,
    actor: &Actor,
    asked: Access,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Access::List { user } => {
            let user = match (user, actor.name()) {
                (Some(other), own) if own != Some(&other) => {
                    actor.must_read_all()?;
                    other
                }
                (_, Some(own)) => own.clone(),
                (_, None) => return Err(Failure::Usage("say whose: access list --user NAME".to_owned())),
            };
            let reaches = reachable(services, &user);
            let empty = "Nothing can be reached now; administrators add users to access groups.";
            screen.list_or(&reaches, || reach_table(&reaches), empty).await?;
            Ok(0)
        }
        Access::Explain { user, credential, view_password } => {
            actor.must_read_all()?;
            let action = if view_password { Action::ViewPassword } else { Action::Session };
            let explained = services.access.explain(&user, &credential, action, Timestamp::now()).await?;
            let decision = match &explained.decision {
                Decision::Permitted(permit) => format!("permitted by access group `{}`", permit.group()),
                Decision::Needs(needs) => format!("access group `{}` decides and asks for more", needs.group),
                Decision::Refused(refusal) => format!("refused: {}", refusal.why()),
            };
            explain(&user, credential.to_string(), decision, &explained.groups, screen).await
        }
    }
}

async fn explain(
    user: &UserName,
    credential: String,
    decision: String,
    groups: &[(tidegate_common::name::AccessGroupName, GroupVerdict)],
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    if screen.json {
        let groups: Vec<_> = groups
            .iter()
            .map(|(name, verdict)| serde_json::json!({ "group": name, "verdict": verdict.to_string() }))
            .collect();
        let told = serde_json::json!({ "user": user, "credential": credential, "decision": decision, "groups": groups });
        screen.one(&told, String::new).await?;
        return Ok(0);
    }
    screen.line(&format!("{user} to {credential}: {decision}")).await?;
    // Groups that do not list the user are many and say nothing new.
    let (strangers, own): (Vec<_>, Vec<_>) =
        groups.iter().partition(|(_, verdict)| *verdict == GroupVerdict::Misses(Miss::NotListed));
    let mut table = Table::new(["ACCESS GROUP", "VERDICT"]);
    for (name, verdict) in own {
        table.row([name.to_string(), verdict.to_string()]);
    }
    if !table.is_empty() {
        screen.line(&table.render(screen.columns)).await?;
    }
    if !strangers.is_empty() {
        screen.line(&format!("{} more do not list {user}", strangers.len())).await?;
    }
    Ok(0)
}

/// One credential that a user may reach.
#[derive(Serialize)]
pub(super) struct Reachable {
    pub credential: String,
    group: String,
    asks: String,
    privileges: String,
    device_type: String,
    product: String,
    /// When its group stops granting by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    closes: Option<Timestamp>,
}

impl Reachable {
    /// Until when it is open.
    pub fn open(&self) -> String {
        self.closes.map_or_else(|| "always".to_owned(), |closes| until(closes, Timestamp::now()))
    }

    /// Its name, what it asks for, what it grants.
    pub fn cells(&self) -> [String; 3] {
        [&self.credential, &self.asks, &self.privileges].map(Clone::clone)
    }

    /// All that a person might look for.
    pub fn text(&self) -> String {
        let Self { credential, group, asks, privileges, device_type, product, .. } = self;
        [credential, group, asks, privileges, device_type, product].map(String::as_str).join(" ")
    }
}

/// What a user may reach now.
pub(super) fn reachable(services: &Services, user: &UserName) -> Vec<Reachable> {
    let snapshot = services.access.snapshot();
    let now = Timestamp::now();
    let reachable = policy::reachable(&snapshot, user, Action::Session, now);
    let line = |(credential, group): (&tidegate_common::model::Credential, &AccessGroup)| {
        let device = snapshot.device(&credential.name.device);
        Reachable {
            credential: credential.name.to_string(),
            group: group.name.to_string(),
            asks: asks(group, group.session.as_ref()),
            privileges: joined(&credential.privileges),
            device_type: maybe(device.and_then(|device| device.kind.as_ref())),
            product: maybe(device.and_then(|device| device.product.as_ref())),
            closes: group.limitation.closes(now),
        }
    };
    reachable.into_iter().map(line).collect()
}

/// The same for people.
pub(super) fn reach_table(reachable: &[Reachable]) -> Table {
    let mut table = Table::new(["CREDENTIAL", "ASKS FOR", "OPEN", "GRANTS", "ACCESS GROUP"]).keeping([0, 2]);
    for line in reachable {
        let [credential, asks, grants] = line.cells();
        table.row([credential, asks, line.open(), grants, line.group.clone()]);
    }
    table
}
