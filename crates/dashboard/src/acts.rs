//! What each page is there for, in the words of the access table: for the record
//! of who was refused what. It decides nothing.

use axum::http::Method;
use strongroom_core::SecretId;
use strongroom_core::access::Action;
use strongroom_core::events::Object;

/// Pages that look at something.
const LOOKS: &[(&str, Action)] = &[
    ("/overview", Action::ListRuns),
    ("/secrets", Action::ListSecrets),
    ("/secrets/new", Action::CreateSecret),
    ("/secrets/{id}", Action::ReadSecret),
    ("/secrets/{id}/policy", Action::ReadPolicy),
    ("/agents", Action::ListAgents),
    ("/agents/{id}", Action::ReadAgent),
    ("/runs", Action::ListRuns),
    ("/runs/{id}", Action::ReadRun),
    ("/keys", Action::ListApiKeys),
    ("/members", Action::ListMembers),
    ("/requests", Action::ListFillRequests),
    ("/fill/{token}", Action::Fill),
    ("/settings", Action::ReadTeam),
    ("/audit", Action::ListEvents),
    ("/audit/export", Action::ListEvents),
    ("/audit/proof", Action::ReadCheckpoint),
    ("/audit/head", Action::ReadCheckpoint),
    ("/audit/proof/{sequence}", Action::ProveEvent),
    ("/account", Action::ListSessions),
];

/// Forms that do something.
const DOES: &[(&str, Action)] = &[
    ("/audit/proof", Action::ProveConsistency),
    ("/secrets", Action::CreateSecret),
    ("/secrets/{id}", Action::UpdateSecret),
    ("/secrets/{id}/values", Action::UpdateSecret),
    ("/secrets/{id}/policy", Action::SetPolicy),
    ("/secrets/{id}/policy/set", Action::SetPolicy),
    ("/secrets/{id}/rollback", Action::RollbackSecret),
    ("/secrets/{id}/delete", Action::DeleteSecret),
    ("/secrets/{id}/undelete", Action::UndeleteSecret),
    ("/agents", Action::CreateAgent),
    ("/agents/{id}", Action::UpdateAgent),
    ("/agents/{id}/delete", Action::DeleteAgent),
    ("/agents/{id}/revisions", Action::CreateRevision),
    ("/agents/{id}/promote", Action::PromoteRevision),
    ("/agents/{id}/attach", Action::AttachSecret),
    ("/agents/{id}/detach", Action::DetachSecret),
    ("/runs/{id}/stop", Action::StopRun),
    ("/runs/{id}/panic", Action::Panic),
    ("/keys", Action::CreateApiKey),
    ("/keys/revoke", Action::RevokeApiKey),
    ("/members", Action::AddMember),
    ("/members/role", Action::UpdateMember),
    ("/members/remove", Action::RemoveMember),
    ("/members/invite", Action::CreateInvitation),
    ("/members/uninvite", Action::CancelInvitation),
    ("/requests", Action::RequestFill),
    ("/requests/cancel", Action::CancelFillRequest),
    ("/fill/{token}", Action::Fill),
    ("/settings/name", Action::UpdateTeam),
    ("/settings/fill", Action::UpdateTeam),
    ("/settings/teams", Action::CreateTeam),
    ("/settings/key", Action::RotateTeamKey),
    ("/settings/delete", Action::DeleteTeam),
    ("/account/sign-in", Action::ChangeSignIn),
    ("/account/sessions/end", Action::EndSession),
    ("/account/sessions/end-others", Action::EndSession),
    ("/account/team", Action::MoveSession),
];

/// What a page is there for; `None` for one that isn't in the list.
pub(crate) fn action(method: &Method, pattern: &str) -> Option<Action> {
    let pages = if method.is_safe() { LOOKS } else { DOES };
    pages.iter().find(|(page, _)| *page == pattern).map(|(_, action)| *action)
}

/// What a page is about, where its path names that.
pub(crate) fn object(pattern: &str, path: &str) -> Option<Object> {
    let table = match pattern.split('/').nth(1)? {
        "secrets" => "secrets",
        "agents" => "agents",
        "runs" => "runs",
        _ => return None,
    };
    let at = pattern.split('/').position(|part| part == "{id}")?;
    let id = SecretId::parse(path.split('/').nth(at)?).ok()?;
    Some(Object { table, id: Some(id.uuid()), ..Object::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_about_what_its_path_names() {
        let id = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
        let about =
            |pattern: &str, path: String| object(pattern, &path).map(|object| (object.table, object.id));
        let expected = SecretId::parse(id).ok().map(SecretId::uuid);
        assert_eq!(
            about("/secrets/{id}/delete", format!("/secrets/{id}/delete")),
            Some(("secrets", expected))
        );
        assert_eq!(about("/runs/{id}", format!("/runs/{id}")), Some(("runs", expected)));
        assert_eq!(about("/secrets", "/secrets".to_owned()), None);
        assert_eq!(about("/runs/{id}", "/runs/none".to_owned()), None);
        assert_eq!(about("/invitation/{token}", format!("/invitation/{id}")), None, "a token isn't told");
    }

    #[test]
    fn what_a_page_is_for_depends_on_what_is_done_there() {
        assert_eq!(action(&Method::GET, "/secrets"), Some(Action::ListSecrets));
        assert_eq!(action(&Method::HEAD, "/secrets"), Some(Action::ListSecrets));
        assert_eq!(action(&Method::POST, "/secrets"), Some(Action::CreateSecret));
        assert_eq!(action(&Method::POST, "/songs"), None);
    }
}
