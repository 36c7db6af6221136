//! A secret: a named bundle of environment variables. This is all of it but
//! its values, which live sealed in its versions.

use crate::clock::Timestamp;
use crate::ids::{InstanceId, SecretId, TeamId, UserId};
use crate::policies::{Policy, PolicySource, Rule};
use crate::rows::{Fields, Row};
use crate::sealing::{Context, Sealed};
use crate::services;
use crate::text::{SecretName, ServiceSlug};
use crate::values::{Bundle, EnvKey};

/// What is known of a secret without opening it.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Names it.
    pub id: SecretId,
    /// Whose team's it is.
    pub team_id: TeamId,
    /// Whose it is; nobody's when it is shared with the team.
    pub owner: Option<UserId>,
    /// What people call it.
    pub name: SecretName,
    /// Which service it is for.
    pub service_slug: Option<ServiceSlug>,
    /// The names of its values, in the order in which they were given. A copy
    /// of what is sealed; opening compares the two.
    pub env_keys: Vec<EnvKey>,
    /// Which version is current; they count from 1.
    pub version: u32,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// Since when it is gone, until it is purged.
    pub deleted_at: Option<Timestamp>,
    /// Where its values may be used through the broker, if that was set for it.
    pub policy: Option<Policy>,
}

impl Secret {
    /// The policy that holds: its own, or what is known of its service.
    pub fn policy_in_force(&self) -> (Option<&Policy>, PolicySource) {
        let of_service = || self.service_slug.as_ref().and_then(services::policy_of);
        match (&self.policy, of_service()) {
            (Some(own), _) => (Some(own), PolicySource::Own),
            (None, Some(known)) => (Some(known), PolicySource::Service),
            (None, None) => (None, PolicySource::None),
        }
    }

    /// Whether its values never get into an environment. Only its own policy says so.
    pub fn is_broker_only(&self) -> bool {
        self.policy.as_ref().is_some_and(Policy::is_broker_only)
    }

    /// Whether this policy lets out what the secret's own keeps in: it takes all values, supplied
    /// again, to set it.
    pub fn is_loosened_by(&self, policy: &Policy) -> bool {
        let kept = self.policy.as_ref().filter(|own| own.is_broker_only());
        kept.is_some_and(|kept| !policy.is_broker_only() || policy.widens(kept))
    }

    /// The names of the values as one text, a line each, as they are stored.
    pub fn env_key_lines(&self) -> String {
        let keys: Vec<_> = self.env_keys.iter().map(EnvKey::as_str).collect();
        keys.join("\n")
    }
}

impl Row for Secret {
    const TABLE: &'static str = "secrets";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("id", self.id.as_bytes());
        fields.optional("owner", self.owner.as_ref().map(UserId::as_bytes));
        fields.bytes("name", self.name.as_str());
        fields.optional("service_slug", self.service_slug.as_ref().map(ServiceSlug::as_str));
        fields.bytes("env_keys", self.env_key_lines());
        fields.number("version", self.version.into());
        fields.bytes("created_by", self.created_by.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("updated_at", self.updated_at.as_millis());
        fields.optional_number("deleted_at", self.deleted_at.map(Timestamp::as_millis));
        // Rows from before there were policies have none, and the MACs that they had. That is
        // unambiguous: each value stands behind its column's name, and both behind their lengths,
        // so that a row with a policy is never fed as the same bytes as one without.
        fields.optional("policy", self.policy.as_ref().map(Policy::to_stored));
    }
}

/// One immutable content of a secret: names and values, sealed together.
#[derive(Clone)]
pub struct Version {
    /// Whose content it is.
    pub secret_id: SecretId,
    /// Which one, from 1.
    pub number: u32,
    /// The bundle, sealed by the team's key.
    pub sealed: Sealed,
    /// Who made this version.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

impl Version {
    /// Where a version's blob belongs. Nothing in it ever changes.
    pub fn context(instance: InstanceId, team: TeamId, secret: SecretId, number: u32) -> Context {
        Context::new("strongroom.version.v1")
            .field(instance.as_bytes())
            .field(team.as_bytes())
            .field(secret.as_bytes())
            .field(&number.to_be_bytes())
    }
}

/// What a version is, without a value: for a secret's history.
#[derive(Clone, Debug)]
pub struct VersionInfo {
    /// Which one, from 1.
    pub number: u32,
    /// Whether it is the one that runs receive.
    pub current: bool,
    /// The names of its values.
    pub env_keys: Vec<EnvKey>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

/// Which secrets a list is about; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// This text, in any case, somewhere in the name, the service or the names of the values.
    pub search: Option<String>,
    /// Exactly this service.
    pub service_slug: Option<ServiceSlug>,
    /// The team's, or the caller's own.
    pub shared: Option<bool>,
}

impl Filter {
    /// For these; `search` in any case.
    pub fn new(search: Option<&str>, service_slug: Option<ServiceSlug>) -> Self {
        Self { search: search.map(str::to_lowercase), service_slug, shared: None }
    }

    /// Whether every secret is among them.
    pub fn is_empty(&self) -> bool {
        self.search.is_none() && self.service_slug.is_none() && self.shared.is_none()
    }

    /// Whether a secret is among them.
    pub fn matches(&self, secret: &Secret) -> bool {
        let slug = self.service_slug.is_none() || self.service_slug == secret.service_slug;
        let whose = self.shared.is_none_or(|shared| shared == secret.owner.is_none());
        slug && whose
            && self.search.as_deref().is_none_or(|search| {
                let service = secret.service_slug.as_ref().map(ServiceSlug::as_str);
                let keys = secret.env_keys.iter().map(EnvKey::as_str);
                let mut texts = [secret.name.as_str()].into_iter().chain(service).chain(keys);
                texts.any(|text| text.to_lowercase().contains(search))
            })
    }
}

/// What a caller wants changed. What isn't given stays.
#[derive(Default)]
pub struct Patch {
    /// What to call it.
    pub name: Option<SecretName>,
    /// Which service it is for; `Some(None)`: none.
    pub service_slug: Option<Option<ServiceSlug>>,
    /// Shared with the team, or the caller's own.
    pub shared: Option<bool>,
    /// What becomes of the values.
    pub values: Edit,
}

/// What becomes of a secret's values.
#[derive(Default)]
pub enum Edit {
    /// Nothing.
    #[default]
    Keep,
    /// These take the place of all.
    Replace(Bundle),
    /// Some are renamed, some removed, some added or overwritten, in this order.
    Change {
        /// From old name to new; each keeps its place.
        rename: Vec<(EnvKey, EnvKey)>,
        /// Which go.
        remove: Vec<EnvKey>,
        /// Which come: over those of the same name, else at the end.
        add: Bundle,
    },
}

/// What a caller gives to set a secret's policy.
pub struct NewPolicy {
    /// Where values may be used.
    pub rules: Vec<Rule>,
    /// Whether they never get into an environment.
    pub broker_only: bool,
    /// The values that take the place of all, for what whoever doesn't know them may not do.
    pub values: Option<Bundle>,
}

/// What a caller gives to copy a secret.
pub struct NewCopy {
    /// What to call the copy.
    pub name: SecretName,
    /// Shared with the team, or the caller's own.
    pub shared: bool,
}

/// How a name's values in two secrets compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Both have it, with the same value.
    Same,
    /// Both have it, with different values.
    Different,
    /// Only the first has it.
    OnlyA,
    /// Only the second has it.
    OnlyB,
}

/// What a caller gives to create a secret.
pub struct NewSecret {
    /// What to call it.
    pub name: SecretName,
    /// Which service it is for.
    pub service_slug: Option<ServiceSlug>,
    /// Shared with the team, or the caller's own.
    pub shared: bool,
    /// The values; creating consumes them.
    pub values: Bundle,
}
