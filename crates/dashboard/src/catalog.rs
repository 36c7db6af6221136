//! What is known of services: what their keys are usually called, and where
//! they come from. One file each, under `catalog/`.

use serde::Deserialize;
use std::sync::LazyLock;

/// What is known of one service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// What stands in a secret's `service_slug`.
    pub(crate) slug: String,
    /// What people call it.
    pub(crate) name: String,
    /// What its own programs read, in the order in which people know them.
    pub(crate) env_keys: Vec<String>,
    /// Where a person finds the values.
    pub(crate) where_to_get: Option<String>,
}

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../catalog/", $name, ".toml")))),*]
    };
}

const FILES: &[(&str, &str)] = files! {
    "anthropic" "aws" "github" "gitlab" "huggingface" "notion" "openai" "postgres" "sendgrid" "slack" "stripe"
    "twilio"
};

/// Those that can be read; a test reads all.
static ENTRIES: LazyLock<Vec<Entry>> =
    LazyLock::new(|| FILES.iter().filter_map(|(_, text)| toml::from_str(text).ok()).collect());

/// All services, by their names in the alphabet.
pub(crate) fn all() -> &'static [Entry] {
    &ENTRIES
}

/// What is known of a service.
pub(crate) fn entry(slug: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.slug == slug)
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_core::{EnvKey, ServiceSlug};

    #[test]
    fn every_file_is_a_service_of_its_name() {
        assert_eq!(all().len(), FILES.len());
        for (entry, (name, _)) in all().iter().zip(FILES) {
            assert_eq!(entry.slug, *name);
            assert!(ServiceSlug::parse(entry.slug.as_str()).is_ok());
            assert!(!entry.env_keys.is_empty(), "{name}");
            assert!(entry.env_keys.iter().all(|key| EnvKey::parse(key.as_str()).is_ok()), "{name}");
        }
        assert!(all().is_sorted_by_key(|entry| entry.name.to_lowercase()));
    }
}
