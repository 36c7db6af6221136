//! `strongroom setup-link`: a link by which somebody comes to sign in, or comes
//! back in. Reads the instance beside a running server and changes nothing.

use strongroom_core::app::{self, LINK_LASTS};
use strongroom_core::tokens::Token;
use strongroom_core::{Clock, Denied, Timestamp};

use super::serve;
use crate::cli::SetUpLink;
use crate::clock::SystemClock;
use crate::database::Site;
use crate::failure::Failure;
use crate::{instance, output};

pub(super) fn run(args: &SetUpLink) -> Result<(), Failure> {
    let site = Site::new(&args.place)?;
    let token = super::block_on(made(args, &site))?;
    let url = url(&serve::url_for_clients(&args.address), &token);
    let end = Timestamp::from_millis(SystemClock.now().as_millis() + LINK_LASTS);
    if args.json {
        let answer = serde_json::json!({"url": url, "expires_at": end.to_string()});
        return Ok(output::answer(&answer.to_string())?);
    }
    output::answer(&url)?;
    if output::seen_by_a_person() {
        output::complain(&format!(
            "note: whoever opens it becomes {}; it works once, within a day, and ends what they signed in with before",
            args.owner.email.as_str()
        ));
    }
    Ok(())
}

async fn made(args: &SetUpLink, site: &Site) -> Result<Token, Failure> {
    let database = site.inspect().await?;
    let app = instance::open(database.store(), &args.keeper, site).await?;
    app.set_up_link(&args.owner.email).await.map_err(|error| match error {
        app::Error::Denied(Denied::Invisible) => {
            let email = args.owner.email.as_str();
            Failure::new(format!("nobody with the address {email} is a member of a team here"))
                .hint("name somebody who is with --email; `strongroom members list` shows who is")
        }
        app::Error::Store(error) => Failure::from(error)
            .hint("if an earlier program served this instance last, start `strongroom serve` once first"),
        other => Failure::new(other.to_string()),
    })
}

/// Where a link of this token leads.
pub(super) fn url(clients: &str, token: &Token) -> String {
    format!("{clients}/setup/{}", token.reveal())
}
