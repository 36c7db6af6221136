//! `strongroom profile`: who one is to the server.

use crate::cli::people::Profile;
use crate::client::{Client, Request, Whoami};
use crate::failure::Failure;
use crate::table::labelled;

pub(super) async fn run(args: &Profile) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get("/v2/profile")).await?;
    client.show(&answer, |whoami: Whoami| {
        let who = whoami.profile;
        labelled(&[
            ("server", client.url()),
            ("id", &who.id.to_string()),
            ("name", &who.name),
            ("email", who.email.as_deref().unwrap_or("-")),
            ("team", &who.team_id.to_string()),
        ])
    })
}
