//! `strongroom audit`: what happened, and the proof that it is what was recorded. Nothing
//! here changes a server or an instance.

mod events;
mod export;
mod file;
mod held;
mod key;
mod list;
mod record;
mod tail;
mod witness;

use strongroom_core::{App, app};
use uuid::Uuid;

use crate::cli::audit::{Audit, Caller, Itself, Verify};
use crate::cli::client::Server;
use crate::client::Client;
use crate::database::Site;
use crate::failure::{Exit, Failure};
use crate::instance;

/// Does it; whether all is well.
pub(super) async fn run(command: &Audit) -> Result<bool, Failure> {
    let done = match command {
        Audit::List(args) => list::run(args).await,
        Audit::Tail(args) => tail::run(args).await,
        Audit::Export(args) => export::run(args).await,
        Audit::Verify(args) => return verify(args).await,
        Audit::Key(args) => key::run(args).await,
        Audit::Witness(args) => witness::run(args).await,
    };
    done.map(|()| true)
}

async fn verify(args: &Verify) -> Result<bool, Failure> {
    match &args.file {
        Some(path) => file::run(args, path).map(|()| true),
        None => record::run(args).await,
    }
}

/// A server, unless it is the instance itself that is meant.
fn client(caller: &Caller) -> Result<Client, Failure> {
    Client::open_in(caller.team, &caller.server)
}

/// Where the instance is, if it is meant itself.
fn site(itself: &Itself) -> Result<Option<Site>, Failure> {
    itself.data_dir.as_deref().map(|directory| Site::at(directory, &itself.elsewhere)).transpose()
}

/// The instance itself, if it is meant, opened to look at it. Then no server and no team is.
pub(super) async fn opened(
    itself: &Itself,
    server: &Server,
    team: Option<Uuid>,
) -> Result<Option<App>, Failure> {
    let Some(site) = site(itself)? else { return Ok(None) };
    if server.url.is_some() || server.profile.is_some() || team.is_some() {
        return Err(Failure::new(
            "--data-dir names an instance, and --url, --profile or --team what a server has",
        )
        .hint("leave one of them out")
        .exit(Exit::Usage));
    }
    open(&site, itself).await.map(Some)
}

async fn open(site: &Site, itself: &Itself) -> Result<App, Failure> {
    let database = site.inspect().await?;
    instance::open(database.store(), &itself.keeper, site).await
}

/// Why the record of an instance could not be read.
fn unread(error: app::Error) -> Failure {
    match error {
        app::Error::Store(error) => Failure::from(error)
            .hint("if an earlier program served this instance last, start `strongroom serve` once first"),
        other => Failure::from(other),
    }
}

/// So many events.
fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}
