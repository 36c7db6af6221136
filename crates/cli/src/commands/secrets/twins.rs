//! Secrets with the values of others: copying one, comparing two.

use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

use super::path;
use super::view::show;
use crate::cli::secrets::{Compare, Copy};
use crate::client::{Client, Request};
use crate::commands::change;
use crate::failure::Failure;
use crate::output;
use crate::table::{Column, Table};

pub(super) async fn copy(args: &Copy) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(format!("{}/copy", path(&args.id)));
    let body = json!({"name": args.name, "shared": args.shared});
    show(&client, &change(&client, request.body(&body)?, &args.write).await?)
}

/// What the server found, by name.
#[derive(Deserialize)]
struct Compared {
    keys: BTreeMap<String, String>,
}

pub(super) async fn compare(args: &Compare) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = client.in_team("credentials/compare").await?;
    // It changes nothing, so asking twice is harmless.
    let answer = client.send(Request::post(path).body(&json!({"a": args.a, "b": args.b}))?).await?;
    client.show(&answer, |compared: Compared| compared.table(output::width()))
}

impl Compared {
    fn table(&self, width: Option<usize>) -> String {
        let mut table = Table::new([Column::Cut("KEY"), Column::Whole("VALUES")]);
        for (key, found) in &self.keys {
            table.row([key, words(found)]);
        }
        table.render(width)
    }
}

fn words(found: &str) -> &str {
    match found {
        "only_a" => "only in the first",
        "only_b" => "only in the second",
        other => other,
    }
}
