//! One function for each kind of resource: which keys it has.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Reader};
use crate::model::{
    AccessGroup, Approval, Approver, Conditions, Credential, Criteria, Device, Kind, Level, Reason,
    RequestTerms, Resource, Terms, User,
};
use crate::time::{Limitation, Schedule};

/// Every `[[kind]]` of the text, in its order.
pub(super) fn all(reader: &mut Reader, root: &DeTable<'_>) -> Vec<Resource> {
    let mut found = Vec::new();
    for (key, value) in root {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.key() == key.get_ref()) else {
            let shown: String = key.get_ref().chars().take(40).flat_map(char::escape_default).collect();
            let known = Kind::ALL.map(|kind| format!("[[{}]]", kind.key())).join(", ");
            reader.wrong(key.span().start, format!("`{shown}` is no kind of resource; known are {known}"));
            continue;
        };
        match value.get_ref() {
            DeValue::Array(items) => found.extend(items.iter().map(|item| (item.span().start, kind, item))),
            _ => {
                let key = kind.key();
                let why = format!("write [[{key}]] in double brackets: there can be several");
                reader.wrong(value.span().start, why);
            }
        }
    }
    found.sort_by_key(|(place, ..)| *place);
    found.into_iter().filter_map(|(place, kind, item)| one(reader, place, kind, item)).collect()
}

fn one(reader: &mut Reader, place: usize, kind: Kind, item: &Spanned<DeValue<'_>>) -> Option<Resource> {
    let Some(table) = item.get_ref().as_table() else {
        reader.wrong(place, format!("write [[{}]] as a table", kind.key()));
        return None;
    };
    let started = reader.start(place);
    let mut fields = Fields::new(reader, table, place, kind.word());
    let resource = match kind {
        Kind::User => user(&mut fields).map(Resource::User),
        Kind::Device => device(&mut fields).map(Resource::Device),
        Kind::Credential => credential(&mut fields).map(Resource::Credential),
        Kind::AccessGroup => access_group(&mut fields).map(Box::new).map(Resource::AccessGroup),
        Kind::Reason => reason(&mut fields).map(Resource::Reason),
    };
    fields.finish();
    let name = match &resource {
        Some(resource) => Some(resource.name().name),
        None => table.get("name").and_then(|name| name.get_ref().as_str()).map(str::to_owned),
    };
    if let Some(name) = &name
        && reader.places.contains_key(&(kind, name.clone()))
    {
        let shown: String = name.chars().take(64).flat_map(char::escape_default).collect();
        reader.wrong(place, format!("{kind} `{shown}` is written twice in this text"));
    }
    let clean = reader.finish(kind, name.as_deref(), started);
    resource.filter(|_| clean)
}

fn user(fields: &mut Fields<'_, '_>) -> Option<User> {
    let name = fields.required("name");
    let (full_name, email) = (fields.optional("full_name"), fields.optional("email"));
    let enabled = fields.flag("enabled", true);
    let (roles, keys, principals) = (fields.list("roles"), fields.list("keys"), fields.list("principals"));
    Some(User { name: name?, full_name, email, enabled, roles, keys, principals })
}

fn device(fields: &mut Fields<'_, '_>) -> Option<Device> {
    let name = fields.required("name");
    let address = fields.optional("address");
    let port = fields.number("port", 22, 1, u16::MAX);
    let (product, kind, site) =
        (fields.optional("product"), fields.optional("type"), fields.optional("site"));
    let tags = fields.list("tags");
    let agent = fields.flag("agent", true);
    let (host_keys, seen_from) = (fields.list("host_keys"), fields.list("seen_from"));
    Some(Device { name: name?, address, port, product, kind, site, tags, agent, host_keys, seen_from })
}

fn credential(fields: &mut Fields<'_, '_>) -> Option<Credential> {
    let name = fields.required("name");
    let (kind, tags) = (fields.optional("type"), fields.list("tags"));
    let privileges = fields.serde_list("privileges");
    Some(Credential { name: name?, kind, tags, privileges })
}

fn reason(fields: &mut Fields<'_, '_>) -> Option<Reason> {
    let name = fields.required("name");
    let description = fields.optional("description");
    Some(Reason { name: name?, description })
}

fn access_group(fields: &mut Fields<'_, '_>) -> Option<AccessGroup> {
    let name = fields.required("name");
    let description = fields.optional("description");
    let users = fields.list("users");
    let approvers = fields.list_of("approvers", |fields, value| {
        let text = |text: &str| {
            let user = text.parse().map_err(|error: crate::name::NameError| error.to_string())?;
            Ok(Approver { user, level: Level::default() })
        };
        fields.text_or_table("approvers", "approver", value, text, |fields| {
            let user = fields.required("user");
            let level = fields.number("level", 1, 1, 3);
            let level = u8::try_from(level).ok().and_then(|level| Level::try_from(level).ok());
            Some(Approver { user: user?, level: level? })
        })
    });
    let criteria = fields.table("criteria", "[access_group.criteria]", |fields| Criteria {
        devices: fields.list("devices"),
        products: fields.list("products"),
        accounts: fields.list("accounts"),
        device_tags: fields.list("device_tags"),
        credential_tags: fields.list("credential_tags"),
        sites: fields.list("sites"),
        device_types: fields.list("device_types"),
        credential_types: fields.list("credential_types"),
    });
    let session = fields.table("session", "[access_group.session]", |fields| {
        let change = fields.flag("change", false);
        Terms { change, ..terms(fields) }
    });
    let password = fields.table("password", "[access_group.password]", terms);
    let request = fields.table("request", "[access_group.request]", |fields| RequestTerms {
        governance: fields.flag("governance", false),
    });
    let limitation = fields.table("limitation", "[access_group.limitation]", |fields| Limitation {
        zone: fields.optional("zone").unwrap_or_default(),
        from: fields.optional("from"),
        until: fields.optional("until"),
        weekdays: fields.list("weekdays"),
        slots: fields.list("slots"),
    });
    let conditions = fields.table("conditions", "[access_group.conditions]", |fields| Conditions {
        forwards: fields.list("forwards"),
        longest: fields.optional("longest"),
        exec_output_limit: fields.optional("exec_output_limit").unwrap_or_default(),
        record_input: fields.flag("record_input", false),
    });
    Some(AccessGroup {
        name: name?,
        description,
        users,
        approvers,
        criteria: criteria.unwrap_or_default(),
        session,
        password,
        request: request.unwrap_or_default(),
        limitation: limitation.unwrap_or_default(),
        conditions: conditions.unwrap_or_default(),
    })
}

fn terms(fields: &mut Fields<'_, '_>) -> Terms {
    let justification = fields.flag("justification", false);
    let approval = fields.table("approval", "`approval`", |fields| {
        let number =
            |fields: &mut Fields<'_, '_>, key| u8::try_from(fields.number(key, 1, 1, 99)).unwrap_or(1);
        Approval {
            needed: number(fields, "needed"),
            rejections: number(fields, "rejections"),
            levels: fields.flag("levels", false),
            when: fields
                .table("when", "`approval.when`", |fields| Schedule {
                    weekdays: fields.list("weekdays"),
                    slots: fields.list("slots"),
                })
                .unwrap_or_default(),
        }
    });
    let emergency = fields.flag("emergency", false);
    let emergency_window = fields.optional("emergency_window");
    Terms { justification, change: false, approval, emergency, emergency_window }
}
