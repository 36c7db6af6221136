//! How a secret looks to a person.

use serde::Deserialize;

use crate::client::{Answer, Client};
use crate::failure::Failure;
use crate::printable::printable;
use crate::table::{Column, Table, labelled, minute};

/// A secret as the API shows it.
#[derive(Deserialize)]
pub(in crate::commands) struct Secret {
    pub(in crate::commands) id: String,
    team_id: String,
    user_id: Option<String>,
    pub(in crate::commands) name: String,
    service_slug: Option<String>,
    pub(in crate::commands) env_var_keys: Vec<String>,
    created_by: String,
    created_at: String,
    updated_at: String,
}

impl Secret {
    /// Its name and its id, for a question.
    pub(super) fn title(&self) -> String {
        format!("the {} secret \"{}\" ({})", self.access(), printable(&self.name), printable(&self.id))
    }

    fn access(&self) -> &'static str {
        if self.user_id.is_some() { "personal" } else { "shared" }
    }

    /// All that is known of it. `tag` is its version tag.
    fn whole(&self, tag: Option<&str>) -> String {
        let keys =
            if self.env_var_keys.is_empty() { "(none)".to_owned() } else { self.env_var_keys.join(", ") };
        let mut lines = vec![
            ("id", self.id.as_str()),
            ("name", &self.name),
            ("access", self.access()),
            ("service", self.service_slug.as_deref().unwrap_or("-")),
            ("keys", &keys),
            ("team", &self.team_id),
            ("created", &self.created_at),
            ("created by", &self.created_by),
            ("updated", &self.updated_at),
        ];
        lines.extend(tag.map(|tag| ("version tag", tag)));
        labelled(&lines)
    }
}

/// Shows the secret that a server answered with.
///
/// # Errors
/// When it answered with something else.
pub(super) fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    client.show(answer, |secret: Secret| secret.whole(answer.etag()))
}

/// Many secrets, a line each.
pub(super) fn table(secrets: &[Secret], width: Option<usize>) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Cut("NAME"),
        Column::Whole("ACCESS"),
        Column::CutOrSpare("KEYS"),
        Column::CutOrSpare("SERVICE"),
    ]);
    for secret in secrets {
        let keys = secret.env_var_keys.join(", ");
        let service = secret.service_slug.as_deref().unwrap_or("-");
        table.row([&secret.id, &secret.name, secret.access(), &keys, service]);
    }
    table.render(width)
}

/// One version of a secret.
#[derive(Deserialize)]
pub(super) struct Version {
    number: u64,
    current: bool,
    env_var_keys: Vec<String>,
    created_by: String,
    created_at: String,
}

/// Many versions, a line each.
pub(super) fn versions(versions: &[Version], width: Option<usize>) -> String {
    let mut table = Table::new([
        Column::Whole("VERSION"),
        Column::Whole("CREATED (UTC)"),
        Column::Cut("KEYS"),
        Column::Spare("BY"),
    ]);
    for version in versions {
        let mark = if version.current { " *" } else { "" };
        let number = format!("{}{mark}", version.number);
        let keys = version.env_var_keys.join(", ");
        table.row([&number, &minute(&version.created_at), &keys, &version.created_by]);
    }
    table.render(width)
}
