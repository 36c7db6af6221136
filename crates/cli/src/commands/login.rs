//! `strongroom login`: stores a server and an API key for it, once the server
//! has taken the key. A link works once, so what could keep its key from being
//! stored is found out before the link is used.

use serde::Deserialize;
use strongroom_core::tokens::{Token, TokenKind};

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

async fn by_key(
    args: &Login,
    environment: &Environment,
    name: &ProfileName,
    key: Token,
) -> Result<(), Failure> {
    let client = Client::to(Target::with_token(&args.server, environment, key)?, false)?;
    let who = client.whoami().await?;
    let url = client.target().url.to_string();
    let profile = Profile {
        url: url.clone(),
        api_key: client.into_token(),
        team_id: Some(who.team_id),
        insecure_http: args.server.insecure_http,
    };
    Editing::begin(environment)?.store(name, profile)?;
    greet(name, &url, &who.name);
    Ok(())
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
    let url = client.target().url.to_string();
    let profile = Profile {
        url: url.clone(),
        api_key: token(TokenKind::ApiKey, &claimed.api_key)?,
        team_id: None,
        insecure_http: args.server.insecure_http,
    };
    if let Err(failure) = editing.store(name, profile) {
        client.show_once(
            &answer,
            &printable(&claimed.api_key),
            "The link is used up; its API key is shown only now.",
        )?;
        return Err(failure);
    }
    greet(name, &url, "whoever the link was made for");
    Ok(())
}

fn greet(name: &ProfileName, url: &str, who: &str) {
    output::complain(&format!("Logged in to {url} as {}; stored as the profile `{name}`.", printable(who)));
}
