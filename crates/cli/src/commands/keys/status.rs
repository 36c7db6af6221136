//! `strongroom keys status --data-dir`: the keys of an instance itself, what became of them, and
//! what still needs an older one.

use strongroom_core::app::{InstanceKeys, KeyUses, PurposeState};
use strongroom_core::events::Recorded;
use strongroom_core::keyring::{MasterKey, Purpose};
use strongroom_core::{App, KeyId};

use super::super::progress;
use crate::cli::keys::Status;
use crate::failure::Failure;
use crate::output;
use crate::table::{Column, Table, minute};

/// `keys status --data-dir`.
pub(super) async fn show(app: &App, args: &Status) -> Result<(), Failure> {
    let keys = app.instance_keys().await?;
    let uses = if args.count { Some(counted(app).await?) } else { None };
    if args.common.json {
        return Ok(output::answer(&status_json(&keys, uses.as_ref()).to_string())?);
    }
    Ok(output::answer(status_words(&keys, uses.as_ref()).trim_end())?)
}

async fn counted(app: &App) -> Result<KeyUses, Failure> {
    let bar = progress("counting rows", app.store().rows().await?);
    let uses = app.key_uses(|| bar.inc(1)).await;
    bar.finish_and_clear();
    Ok(uses?)
}

/// Purposes of which what was made with a key is counted.
fn made_with(uses: &KeyUses, purpose: Purpose, version: u16) -> Option<u64> {
    match purpose {
        Purpose::Cookies | Purpose::AuditSigning | Purpose::Authority => None,
        _ => Some(uses.purposes.get(&(purpose, version)).copied().unwrap_or(0)),
    }
}

fn status_words(keys: &InstanceKeys, uses: Option<&KeyUses>) -> String {
    let mut words = String::new();
    for (at, root) in keys.roots.iter().enumerate() {
        let added = if at == 0 { "" } else { "  (added)" };
        let label = if at == 0 { "root key" } else { "" };
        words.extend([format!("{label:<14}{}:{}{added}\n", root.provider, root.id)]);
    }
    let first = if keys.master == MasterKey::FIRST { "  (the first)" } else { "" };
    words.extend([
        format!("{:<14}{}{first}\n", "master key", keys.master),
        format!("{:<14}{}\n\n", "recovery key", keys.recipient),
    ]);
    let mut table = Table::new([
        Column::Whole("PURPOSE"),
        Column::Whole("KEY"),
        Column::Whole("VERSION"),
        Column::Whole("SINCE (UTC)"),
        Column::Spare("IS"),
        Column::Spare(if uses.is_some() { "ROWS" } else { "" }),
    ]);
    for key in &keys.purposes {
        let made = uses.and_then(|uses| made_with(uses, key.purpose, key.version));
        let newer =
            keys.purposes.iter().any(|other| other.purpose == key.purpose && other.version > key.version);
        let is = if key.in_use {
            "in use"
        } else if newer {
            "kept"
        } else {
            "in use soon"
        };
        table.row([
            key.purpose.name(),
            &key.id.to_string(),
            &key.version.to_string(),
            &minute(&key.created_at.to_string()),
            is,
            &made.map(|made| made.to_string()).unwrap_or_default(),
        ]);
    }
    words += &table.render(output::width());
    if let Some(uses) = uses {
        words.extend([format!(
            "\n\nVersions of secrets under the newest key of their team: {}; under an older one: {}.",
            uses.newest, uses.older
        )]);
    }
    words += "\n\nWhat became of them, the newest first:\n\n";
    words + &history(keys)
}

fn history(keys: &InstanceKeys) -> String {
    let mut table = Table::new([
        Column::Whole("WHEN (UTC)"),
        Column::Whole("WHAT"),
        Column::Spare("WHICH"),
        Column::Spare("VERSION"),
    ]);
    for event in &keys.history {
        let version = event.version.map(|version| version.to_string()).unwrap_or_default();
        table.row([&minute(&event.at.to_string()), &event.kind, &which(keys, event), &version]);
    }
    table.render(output::width())
}

/// For which purpose a key is, or which root key it is; an event about the instance's own row
/// says no more than that.
fn which(keys: &InstanceKeys, event: &Recorded) -> String {
    let id = event.object_id.map(KeyId::from_uuid);
    let purpose = keys.purposes.iter().find(|key| Some(key.id) == id);
    match (purpose, id) {
        (Some(key), _) => key.purpose.name().to_owned(),
        (None, Some(id)) if event.table != "instance" => id.to_string(),
        _ => String::new(),
    }
}

fn status_json(keys: &InstanceKeys, uses: Option<&KeyUses>) -> serde_json::Value {
    let root = |root: &strongroom_core::app::RootState| serde_json::json!({"provider": root.provider, "id": root.id.to_string()});
    let purposes = keys.purposes.iter().map(|key| {
        let mut object = json_of(key);
        let made = uses.and_then(|uses| made_with(uses, key.purpose, key.version));
        if let (Some(made), Some(object)) = (made, object.as_object_mut()) {
            object.insert("rows".to_owned(), made.into());
        }
        object
    });
    let event = |event: &Recorded| {
        serde_json::json!({
            "sequence": event.sequence,
            "at": event.at.to_string(),
            "kind": event.kind,
            "which": Some(which(keys, event)).filter(|which| !which.is_empty()),
            "version": event.version,
        })
    };
    serde_json::json!({
        "root_keys": keys.roots.iter().map(root).collect::<Vec<_>>(),
        "master_key": keys.master.to_string(),
        "recovery_recipient": keys.recipient,
        "purposes": purposes.collect::<Vec<_>>(),
        "versions": uses.map(|uses| serde_json::json!({"newest": uses.newest, "older": uses.older})),
        "history": keys.history.iter().map(event).collect::<Vec<_>>(),
    })
}

/// A key for a purpose, for a program.
pub(super) fn json_of(key: &PurposeState) -> serde_json::Value {
    serde_json::json!({
        "purpose": key.purpose.name(),
        "id": key.id.to_string(),
        "version": key.version,
        "created_at": key.created_at.to_string(),
        "in_use": key.in_use,
    })
}
