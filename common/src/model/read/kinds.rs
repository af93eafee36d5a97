//! Every resource of a text. Which keys a kind has stands with its type.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Reader};
use crate::model::{Kind, Resource, ResourceName};

/// Every `[[kind]]` of the text, in its order.
pub(super) fn all(reader: &mut Reader, root: &DeTable<'_>) -> Vec<Resource> {
    let mut found = Vec::new();
    for (key, value) in root {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.key() == key.get_ref()) else {
            let shown = crate::unseen::quoted(key.get_ref(), 40);
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
    found.sort_by_key(|(offset, ..)| *offset);
    found.into_iter().filter_map(|(offset, kind, item)| one(reader, offset, kind, item)).collect()
}

fn one(reader: &mut Reader, offset: usize, kind: Kind, item: &Spanned<DeValue<'_>>) -> Option<Resource> {
    let Some(table) = item.get_ref().as_table() else {
        reader.wrong(offset, format!("write [[{}]] as a table", kind.key()));
        return None;
    };
    let started = reader.start(offset);
    let mut fields = Fields::new(reader, table, offset, kind.word());
    let resource = Resource::read(kind, &mut fields);
    fields.finish();
    let name = match &resource {
        Some(resource) => Some(resource.name().name),
        None => table.get("name").and_then(|name| name.get_ref().as_str()).map(str::to_owned),
    };
    if let Some(name) = &name
        && reader.offsets.contains_key(&(kind, name.clone()))
    {
        let shown = crate::unseen::quoted(name, 64);
        reader.wrong(offset, format!("{kind} `{shown}` is written twice in this text"));
    }
    let clean = reader.finish(kind, name.as_deref(), started);
    if !clean && kind == Kind::UserGroup {
        reader.unreadable.extend(limited(table));
    }
    resource.filter(|_| clean)
}

/// The limited users of a group that could not be read; whoever lists them is right about them.
fn limited(group: &DeTable<'_>) -> Vec<ResourceName> {
    let limited = group.get("limited_users").and_then(|limited| limited.get_ref().as_array());
    let tables = limited.into_iter().flatten().filter_map(|limited| limited.get_ref().as_table());
    let names = tables.filter_map(|limited| limited.get("name").and_then(|name| name.get_ref().as_str()));
    names.map(|name| ResourceName { kind: Kind::User, name: name.to_owned() }).collect()
}
