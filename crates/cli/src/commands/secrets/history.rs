//! What was before: versions of a secret, going back to one, undeleting.

use serde_json::json;

use super::path;
use super::view::{self, Secret, Version};
use crate::cli::secrets::{Change, One, Rollback};
use crate::client::{Client, Request};
use crate::commands::{confirm, note_dry_run};
use crate::failure::Failure;
use crate::output;

pub(super) async fn versions(args: &One) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(format!("{}/versions", path(&args.id)))).await?;
    client.show(&answer, |versions: Vec<Version>| {
        format!("{}\n\n* the present one", view::versions(&versions, output::width()))
    })
}

pub(super) async fn rollback(args: &Rollback) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    if confirm::needed(&args.confirmed) {
        confirm::possible(&args.confirmed)?;
        let secret: Secret = client.send(Request::get(path(&args.id))).await?.read()?;
        let question = format!("Give {} the values of its version {}?", secret.title(), args.number);
        confirm::confirm(&args.confirmed, &question)?;
    }
    let request = Request::post(format!("{}/rollback", path(&args.id)));
    let request = request.body(&json!({"version": args.number}))?.write(&args.confirmed.write);
    let answer = client.send(request).await?;
    note_dry_run(args.confirmed.write.dry_run);
    client.show(&answer, |secret: Secret| secret.whole(answer.etag()))
}

pub(super) async fn undelete(args: &Change) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(format!("{}/undelete", path(&args.id)));
    let answer = client.send(request.write(&args.write)).await?;
    note_dry_run(args.write.dry_run);
    client.show(&answer, |secret: Secret| secret.whole(answer.etag()))
}
