//! What was before: versions of a secret, going back to one, undeleting.

use serde_json::json;

use super::pages;
use super::path;
use super::view::{self, Secret, Version, show};
use crate::cli::secrets::{Change, One, Rollback};
use crate::client::{Client, Request};
use crate::commands::change;
use crate::commands::confirm::confirm_about;
use crate::failure::Failure;
use crate::output;

pub(super) async fn versions(args: &One) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = format!("{}/versions", path(&args.id));
    let first = client.send(Request::get(path.as_str())).await?;
    let answer = pages::all(&client, &path, first).await?;
    client.show(&answer, |versions: Vec<Version>| {
        format!("{}\n\n* the present one", view::versions(&versions, output::width()))
    })
}

pub(super) async fn rollback(args: &Rollback) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question =
        |secret: Secret| format!("Give {} the values of its version {}?", secret.title(), args.number);
    confirm_about(&client, path(&args.id), &args.confirmed, question).await?;
    let request = Request::post(format!("{}/rollback", path(&args.id)));
    let request = request.body(&json!({"version": args.number}))?;
    show(&client, &change(&client, request, &args.confirmed.write).await?)
}

pub(super) async fn undelete(args: &Change) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(format!("{}/undelete", path(&args.id)));
    show(&client, &change(&client, request, &args.write).await?)
}
