//! `strongroom audit key`: by what heads are checked.

use serde::Deserialize;

use crate::cli::audit::Key;
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;

/// Where every server says it, to anybody.
const PATH: &str = "/.well-known/strongroom-audit";

#[derive(Deserialize)]
struct Verifier {
    verifier_keys: Vec<String>,
}

pub(super) async fn run(args: &Key) -> Result<(), Failure> {
    let (keys, json) = if let Some(app) = super::opened(&args.itself, &args.server, None).await? {
        let keys: Vec<_> = app.verifier_keys().iter().map(ToString::to_string).collect();
        let json = serde_json::json!({"origin": app.audit_origin(), "verifier_keys": keys});
        (keys, json.to_string())
    } else {
        let answer = asked(&Client::open_in(None, &args.server)?).await?;
        (answer.read::<Verifier>()?.verifier_keys, answer.raw()?.to_owned())
    };
    if args.json {
        return Ok(output::whole(&json)?);
    }
    output::whole(&keys.join("\n"))?;
    output::complain(
        "note: keep this where the server can't change it; what a server shows about itself proves nothing against who controls it",
    );
    Ok(())
}

async fn asked(client: &Client) -> Result<Answer, Failure> {
    client.send(Request::get(PATH)).await
}

/// The keys that a server says it has.
///
/// # Errors
/// When it doesn't say.
pub(super) async fn of_server(client: &Client) -> Result<Vec<String>, Failure> {
    Ok(asked(client).await?.read::<Verifier>()?.verifier_keys)
}
