//! Under which keys the team's values are, how far a change of them is, and what opens a
//! backup. For administrators; never a key itself.

use maud::{Markup, html};
use strongroom_core::access::Action;
use strongroom_core::app::{SealedUnder, TeamKeys};

use crate::desk::Desk;
use crate::parts;
use crate::refusal::Refusal;
use crate::secret::short;
use crate::visit::Visit;

/// Where the form for a new key goes.
pub(super) const ROTATE: &str = "/settings/key";

/// The section, for those who may see it.
pub(super) async fn section(desk: &Desk, visit: &Visit) -> Result<Option<Markup>, Refusal> {
    if !visit.may(Action::ReadTeamKeys) {
        return Ok(None);
    }
    let keys = desk.app.turning_team_keys(&visit.ask).await?;
    let under = desk.app.sealed_under(&visit.ask).await?;
    Ok(Some(html! {
        h2 { "How values are sealed" }
        (facts(&under))
        (team_keys(&keys))
        @if visit.may(Action::RotateTeamKey) { (rotating(desk, visit, &keys)) }
    }))
}

fn facts(under: &SealedUnder) -> Markup {
    html! {
        dl.facts {
            dt { "Root key" }
            dd {
                @for (at, root) in under.roots.iter().enumerate() {
                    @if at > 0 { "; or: " }
                    (keeper(&root.provider)) ", " code title=(root.id) { (short(&root.id.to_string())) }
                }
                ". It wraps the server's master key, and that wraps the team's. Whoever runs the server can replace each of them."
            }
            dt { "Backups" }
            dd {
                "Whoever runs the server makes them, with " code { "strongroom backup" } ". Each opens with the recovery key of "
                code.long { (under.recipient) } "."
            }
        }
    }
}

/// Who keeps the root key, in words.
fn keeper(provider: &str) -> &str {
    match provider {
        "file" => "In a file beside the server",
        "passphrase" => "A passphrase that is given at each start",
        "aws-kms" => "In AWS KMS",
        "pkcs11" => "On a PKCS#11 token",
        "transit" => "In a Transit of Vault or OpenBao",
        other => other,
    }
}

fn team_keys(state: &TeamKeys) -> Markup {
    let done = state.versions.saturating_sub(state.left);
    html! {
        div.scroll { table {
            caption { "The team's keys" }
            thead { tr { th { "Version" } th { "Since" } th { "Key" } } }
            tbody {
                @for key in &state.keys {
                    tr { td { (key.version) } td { (parts::time(key.created_at)) } td { code title=(key.id) { (short(&key.id.to_string())) } } }
                }
            }
        } }
        @if state.left > 0 {
            p {
                label for="resealed" { "Sealed under the newest: " (done) " of " (parts::count(state.versions, "version")) " of secrets" }
                " " progress #resealed max=(state.versions) value=(done) {}
            }
        } @else if state.keys.len() > 1 {
            p { "Everything is sealed under the newest. An older key goes two days after the last that it sealed." }
        }
    }
}

fn rotating(desk: &Desk, visit: &Visit, state: &TeamKeys) -> Markup {
    html! {
        @if state.left == 0 {
            (parts::danger("Give the team a new key",
                "Everything is sealed anew in the background, while runs and people go on. Do it when somebody may have seen the old key, or because a rule says so.",
                &parts::button(&desk.to(ROTATE), &visit.form, "Give it a new key", &[])))
        }
    }
}
