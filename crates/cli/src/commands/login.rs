//! `strongroom login`: stores a server and an API key for it, once the server
//! has taken the key. A link works once, so what could keep its key from being
//! stored is found out before the link is used.

use serde::Deserialize;
use strongroom_core::tokens::{Token, TokenKind};
use uuid::Uuid;

use super::keys;
use crate::cli::people::Login;
use crate::client::{Client, Target, token};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printable::printable;
use crate::profiles::{Editing, Profile, ProfileName};
use crate::{output, token_input};

pub(super) async fn run(args: &Login) -> Result<(), Failure> {
    let environment = Environment::read()?;
    let name = ProfileName::choose(args.server.profile.as_ref(), &environment)?;
    if args.link_stdin {
        by_link(args, &environment, &name).await
    } else {
        let key = token_input::api_key(args.api_key_stdin)?;
        by_key(args, &environment, &name, key).await
    }
}

/// Stores a key that the server takes, with the team that it is for.
async fn by_key(
    args: &Login,
    environment: &Environment,
    name: &ProfileName,
    key: Token,
) -> Result<(), Failure> {
    let client = Client::to(Target::with_token(&args.server, environment, key)?, false)?;
    let who = client.whoami().await?;
    let url = client.url().to_owned();
    let profile = profile(args, url.clone(), client.into_token(), Some(who.team_id));
    Editing::begin(environment)?.store(name, profile)?;
    let who = printable(&who.name);
    output::complain(&format!("Logged in to {url} as {who}; stored as the profile `{name}`."));
    Ok(())
}

fn profile(args: &Login, url: String, api_key: Token, team_id: Option<Uuid>) -> Profile {
    Profile { url, api_key, team_id, insecure_http: args.server.insecure_http }
}

/// An answer that shows a key, once.
#[derive(Deserialize)]
struct Claimed {
    api_key: String,
}

async fn by_link(args: &Login, environment: &Environment, name: &ProfileName) -> Result<(), Failure> {
    let editing = Editing::begin(environment)?;
    let (client, answer) = keys::use_link(&args.server, environment, false).await?;
    let claimed: Claimed = answer.read()?;
    let key = || token(TokenKind::ApiKey, &claimed.api_key);
    if let Err(failure) = editing.store(name, profile(args, client.url().to_owned(), key()?, None)) {
        let words = "The link is used up; its API key is shown only now.";
        client.show_once(&answer, &printable(&claimed.api_key), words)?;
        return Err(failure);
    }
    // The key is safe; who it is for can be asked now, and at any time later.
    if by_key(args, environment, name, key()?).await.is_err() {
        output::complain(&format!("Logged in to {}; stored as the profile `{name}`.", client.url()));
    }
    Ok(())
}
