//! What to rotate after a panic: a list to tick off, one secret after another.
//! Nothing in it is ever cut.

use serde::Deserialize;

use crate::commands::secrets::view::Secret;
use crate::printable::printable;

const INTRODUCTION: &str = "\
These values were received, and may have been kept. Replace each where it is
valid, and then here:";

/// A version of a secret that runs received.
#[derive(Deserialize)]
pub(super) struct Delivered {
    #[serde(rename = "credential_id")]
    secret_id: String,
    version: u64,
    user_id: Option<String>,
    env_var_keys: Vec<String>,
}

/// The secrets to rotate, in the order in which they were delivered.
pub(super) struct Rotation(Vec<Item>);

/// A secret, the versions of it that were delivered, and the names in them.
struct Item {
    secret_id: String,
    owner: Option<String>,
    versions: Vec<u64>,
    keys: Vec<String>,
}

impl Rotation {
    /// New values end all versions of a secret, so each stands in it once; a
    /// version without values, not at all.
    pub(super) fn of(deliveries: Vec<Delivered>) -> Self {
        let mut items: Vec<Item> = Vec::new();
        for delivered in deliveries.into_iter().filter(|delivered| !delivered.env_var_keys.is_empty()) {
            match items.iter_mut().find(|item| item.secret_id == delivered.secret_id) {
                Some(item) => item.add(delivered.version, delivered.env_var_keys),
                None => items.push(delivered.into()),
            }
        }
        Self(items)
    }

    /// Whether there is nothing to rotate.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The list. Of the secrets that the caller can see it says more; none are
    /// given when they can't be looked up.
    pub(super) fn words(&self, visible: Option<&[Secret]>) -> String {
        if self.is_empty() {
            return "No value was received, so there is nothing to rotate.".to_owned();
        }
        let items: Vec<_> = self.0.iter().map(|item| item.words(visible)).collect();
        format!("{INTRODUCTION}\n\n{}", items.join("\n\n"))
    }
}

impl From<Delivered> for Item {
    fn from(delivered: Delivered) -> Self {
        let Delivered { secret_id, version, user_id, env_var_keys } = delivered;
        Self { secret_id, owner: user_id, versions: vec![version], keys: env_var_keys }
    }
}

impl Item {
    fn add(&mut self, version: u64, keys: Vec<String>) {
        self.versions.push(version);
        for key in keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }

    fn words(&self, visible: Option<&[Secret]>) -> String {
        let seen = visible.unwrap_or_default().iter().find(|secret| secret.id == self.secret_id);
        let title = printable(seen.map_or(&self.secret_id, |secret| &secret.name));
        let access = if self.owner.is_some() { "personal" } else { "shared" };
        let mut lines = vec![format!("- [ ] {title} ({access}), {}", self.versions())];
        lines.extend(self.keys.iter().map(|key| format!("  - [ ] {}", printable(key))));
        let next = match (seen, visible) {
            (Some(secret), _) => self.update(|key| secret.env_var_keys.contains(key)),
            (None, None) => self.update(|_| true),
            (None, Some(_)) => Some(self.unseen()),
        };
        lines.extend(next.map(|next| format!("      {next}")));
        lines.join("\n")
    }

    /// The command that gives new values to the names that are still there.
    fn update(&self, there: impl Fn(&String) -> bool) -> Option<String> {
        let keys = self.keys.iter().filter(|key| there(key));
        let set: Vec<_> = keys.map(|key| format!(" --set {}", printable(key))).collect();
        let id = printable(&self.secret_id);
        (!set.is_empty()).then(|| format!("strongroom secrets update {id}{}", set.concat()))
    }

    /// Who can say more of what the caller can't see.
    fn unseen(&self) -> String {
        match &self.owner {
            Some(owner) => format!("only its owner can change it: {}", printable(owner)),
            None => "deleted, or not yours to see".to_owned(),
        }
    }

    fn versions(&self) -> String {
        let mut versions = self.versions.clone();
        versions.sort_unstable();
        versions.dedup();
        let numbers: Vec<_> = versions.iter().map(u64::to_string).collect();
        let word = if numbers.len() == 1 { "version" } else { "versions" };
        format!("{word} {}", numbers.join(", "))
    }
}
