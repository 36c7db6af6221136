//! What happened, in words for people, and the groups in which they look for it.

use std::borrow::Cow;
use strongroom_core::events::{EventKind, Recorded, RecordedRefusal};
use strongroom_core::requests::{Requested, RequestedText};
use strongroom_core::rows::Row;
use strongroom_core::secrets::Secret;

/// Kinds of events that people look for together.
pub(super) struct Group {
    /// What it is called in a query.
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// With what the names of its kinds begin.
    prefixes: &'static [&'static str],
}

const fn group(name: &'static str, label: &'static str, prefixes: &'static [&'static str]) -> Group {
    Group { name, label, prefixes }
}

/// The groups, in the order in which they are offered.
pub(super) const GROUPS: &[Group] = &[
    group("secrets", "Secrets", &["secret."]),
    group("agents", "Agents", &["agent.", "revision.", "secret.attached", "secret.detached"]),
    group("runs", "Runs", &["run.", "secret.delivered", "agent.runs_revoked"]),
    group("requests", "Requests to fill in", &["fill_request."]),
    group("keys", "API keys", &["api_key.", "key_link."]),
    group("members", "Members", &["member.", "user.", "invitation."]),
    group("sign-in", "Signing in", &["sign_in.", "session."]),
    group(
        "team",
        "The team",
        &["team.", "instance.", "root_key.", "master_key.", "purpose_key.", "recovery_key."],
    ),
    group("refusals", "Refusals", &["access."]),
    group("integrity", "Tampering", &["integrity."]),
];

/// The kinds of a group; none of them for no group, which is all. `None`: there
/// is no such group.
pub(super) fn kinds_of(name: &str) -> Option<Vec<EventKind>> {
    if name.is_empty() {
        return Some(Vec::new());
    }
    let group = GROUPS.iter().find(|group| group.name == name)?;
    let is_in = |kind: &EventKind| group.prefixes.iter().any(|prefix| kind.name().starts_with(prefix));
    Some(EventKind::ALL.into_iter().filter(is_in).collect())
}

/// What somebody did, to go between them and the object.
pub(super) fn clause(event: &Recorded) -> Cow<'static, str> {
    match (event.known_kind(), &event.refusal, &event.requested) {
        (Some(EventKind::AccessDenied), Some(refusal), _) => refused(refusal).into(),
        (Some(EventKind::RunRequested), _, Some(requested)) => asked(requested, &event.table).into(),
        (Some(kind), ..) => known(kind).into(),
        (None, ..) => event.kind.clone(),
    }
}

fn known(kind: EventKind) -> &'static str {
    match kind {
        EventKind::InstanceCreated => "set up this instance",
        EventKind::SecretCreated => "created the secret",
        EventKind::SecretUpdated => "changed the secret",
        EventKind::SecretDeleted => "deleted the secret",
        EventKind::SecretUndeleted => "brought back the secret",
        EventKind::SecretPolicySet => "set the policy of the secret",
        EventKind::SecretRolledBack => "took back to an earlier version the secret",
        EventKind::SecretCopied => "created as a copy the secret",
        EventKind::SecretCompared => "compared with another the secret",
        EventKind::SecretPurged => "purged for good the secret",
        EventKind::TeamCreated => "created the team",
        EventKind::TeamUpdated => "changed the settings of the team",
        EventKind::TeamDeleted => "deleted the team",
        EventKind::TeamUndeleted => "brought back the team",
        EventKind::TeamShredded => "destroyed the keys of the team",
        EventKind::TeamKeyRotated => "gave the team a new key",
        EventKind::RootKeyRotated => "put the instance under another root key",
        EventKind::RootKeyAdded => "let one more root key open the instance",
        EventKind::RootKeyRemoved => "took away a root key that was added",
        EventKind::MasterKeyRotated => "gave the instance a new master key",
        EventKind::PurposeKeyRotated => "gave the instance a new key for one of its purposes",
        EventKind::RecoveryKeyReplaced => "replaced the recovery key",
        EventKind::TeamKeysRetired => "destroyed older keys of the team, which nothing needed any more",
        EventKind::UserCreated => "created the user",
        EventKind::MemberAdded => "added the member",
        EventKind::MemberUpdated => "changed the membership of",
        EventKind::MemberRemoved => "removed the member",
        EventKind::ApiKeyCreated => "made the API key",
        EventKind::ApiKeyRevoked => "revoked the API key",
        EventKind::KeyLinkCreated => "made the key link",
        EventKind::KeyLinkCancelled => "withdrew the key link",
        EventKind::KeyLinkClaimed => "made a key by the key link",
        EventKind::AgentCreated => "created the agent",
        EventKind::AgentUpdated => "changed the agent",
        EventKind::AgentDeleted => "deleted the agent",
        EventKind::AgentRunsRevoked => "revoked all runs of the agent",
        EventKind::RevisionCreated => "created the revision",
        EventKind::RevisionUpdated => "renamed the revision",
        EventKind::SecretAttached => "attached the secret",
        EventKind::SecretDetached => "detached the secret",
        EventKind::RunStarted => "started the run",
        EventKind::RunExtended => "extended the run",
        EventKind::RunStopped => "stopped the run",
        EventKind::RunRevoked => "revoked the run",
        EventKind::RunRequested => "asked somebody something through the broker",
        EventKind::SecretDelivered => "received values of the secret",
        EventKind::SignInSetUp => "set up how to sign in",
        EventKind::SignInChanged => "changed how to sign in",
        EventKind::SessionStarted => "signed in, session",
        EventKind::SessionMoved => "went to another team in the session",
        EventKind::SessionEnded => "ended the session",
        EventKind::InvitationCreated => "made the invitation",
        EventKind::InvitationCancelled => "withdrew the invitation",
        EventKind::InvitationAccepted => "accepted the invitation",
        EventKind::FillRequestCreated => "asked people to fill in the request",
        EventKind::FillRequestCancelled => "withdrew the request",
        EventKind::FillRequestFilled => "filled in the request",
        EventKind::IntegrityViolation => "met a row that is not what was stored",
        EventKind::AccessDenied => "was refused something",
    }
}

/// What was asked for, and what came of it; then follows what went in, or the run.
fn asked(requested: &RequestedText, table: &str) -> String {
    let requested = requested.read();
    let Requested { method, host, path, .. } = &requested;
    let with = if table == Secret::TABLE { "with the secret" } else { "in the run" };
    match (&requested.refused, requested.status) {
        (Some(why), _) => format!("was refused by the broker ({why}) {method} {host}{path} {with}"),
        (None, Some(status)) => format!("asked {method} {host}{path} ({status}) {with}"),
        (None, None) => format!("asked {method} {host}{path} {with}"),
    }
}

fn refused(refusal: &RecordedRefusal) -> String {
    let what = refusal.action.as_deref().unwrap_or("something");
    match refusal.reason.as_deref().map(why) {
        Some(why) => format!("was refused {what}: {why}"),
        None => "was refused more".to_owned(),
    }
}

/// Why somebody was refused; a later program's reason by its name.
fn why(reason: &str) -> &str {
    match reason {
        "role" => "their role doesn't reach",
        "scope" => "the key isn't for it",
        "other_team" => "the key is another team's",
        "team_deleted" => "the team is deleted",
        "agent" => "the key isn't for that agent",
        "address" => "the key may not be used from that address",
        "above" => "it would reach above them",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_in_a_group_and_every_group_has_kinds() {
        let grouped: Vec<_> = GROUPS.iter().map(|group| kinds_of(group.name).unwrap()).collect();
        assert!(grouped.iter().all(|kinds| !kinds.is_empty()));
        for kind in EventKind::ALL {
            assert!(grouped.iter().any(|kinds| kinds.contains(&kind)), "{kind:?}");
        }
        let secrets = kinds_of("secrets").unwrap();
        assert!(secrets.contains(&EventKind::SecretPurged) && !secrets.contains(&EventKind::RunStarted));
        assert_eq!((kinds_of(""), kinds_of("songs")), (Some(Vec::new()), None));
    }

    #[test]
    fn no_two_kinds_are_told_in_the_same_words() {
        for (at, kind) in EventKind::ALL.into_iter().enumerate() {
            let same = EventKind::ALL.into_iter().position(|other| known(other) == known(kind));
            assert_eq!(same, Some(at), "{kind:?}");
        }
    }

    #[test]
    fn every_reason_of_the_access_table_has_words() {
        use strongroom_core::access::Denied;
        use strongroom_core::{Role, Scope};
        for denied in [
            Denied::Scope(Scope::Admin),
            Denied::Role(Role::Owner),
            Denied::OtherTeam,
            Denied::TeamDeleted,
            Denied::Agent,
            Denied::Address,
            Denied::Above("x"),
        ] {
            assert_ne!(why(denied.name()), denied.name());
        }
    }
}
