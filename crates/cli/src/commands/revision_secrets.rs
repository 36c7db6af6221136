//! `strongroom revision-secrets`: which secrets a revision's runs get.

use serde_json::json;

use super::confirm::confirm;
use super::{acknowledge, change, revisions, secrets};
use crate::cli::agents::{Attach, Detach, ListAttached, OfRevision, RevisionSecrets};
use crate::client::{Client, Request};
use crate::failure::Failure;

pub(super) async fn run(command: &RevisionSecrets) -> Result<(), Failure> {
    match command {
        RevisionSecrets::List(args) => list(args).await,
        RevisionSecrets::Attach(args) => attach(args).await,
        RevisionSecrets::Detach(args) => detach(args).await,
    }
}

/// The path of a revision's secrets.
fn path(of: &OfRevision) -> String {
    format!("{}/credentials", revisions::path(of.agent, of.revision))
}

async fn list(args: &ListAttached) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(path(&args.of))).await?;
    let none = "No secrets are attached. To attach one: strongroom revision-secrets attach --help";
    secrets::list::show(&client, &answer, none)
}

async fn attach(args: &Attach) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(path(&args.of)).body(&json!({"credentialId": args.secret}))?;
    let answer = change(&client, request, &args.write).await?;
    let done = format!("Attached the secret {} to the revision {}.", args.secret, args.of.revision);
    acknowledge(&client, &answer, &args.write, &done)
}

async fn detach(args: &Detach) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let (secret, revision) = (args.secret, args.of.revision);
    let question = format!("Detach the secret {secret} from the revision {revision}?");
    confirm(&args.confirmed, &question)?;
    let request = Request::delete(format!("{}/{secret}", path(&args.of)));
    let answer = change(&client, request, &args.confirmed.write).await?;
    let done = format!("Detached the secret {secret} from the revision {revision}.");
    acknowledge(&client, &answer, &args.confirmed.write, &done)
}
