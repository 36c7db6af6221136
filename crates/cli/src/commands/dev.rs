//! `strongroom dev`: from nothing to a server that answers, in one command.

use std::net::SocketAddr;

use super::serve;
use crate::cli::Dev;
use crate::data_dir::DataDir;
use crate::database::Site;
use crate::failure::Failure;
use crate::instance::{Blueprint, Fresh, Keepsake};
use crate::output;

pub(super) fn run(args: &Dev) -> Result<(), Failure> {
    args.logging.start();
    serve::allowed(&args.listening)?;
    let site = Site::new(&args.place)?;
    serve::block_on(&args.listening, async {
        if site.is_taken().await? { again(args, &site).await } else { first(args, &site).await }
    })
}

/// The instance is there: serves it.
async fn again(args: &Dev, site: &Site) -> Result<(), Failure> {
    let (app, open) = serve::ready(site, &args.keeper, &args.listening).await?;
    output::answer(&welcome_back(open.address, &site.data_dir))?;
    open.serve(app, args.listening.limits(), args.rules).await
}

/// Makes the instance, once it is certain that it can be served.
async fn first(args: &Dev, site: &Site) -> Result<(), Failure> {
    let data_dir = &site.data_dir;
    let keepsake =
        Keepsake::choose(&args.founding, data_dir, output::seen_by_a_person())?.unwrap_or(Keepsake::Nobody);
    let recovery = Recovery::of(&keepsake);
    let blueprint = Blueprint::draw(&args.founding, &args.keeper, site, keepsake).await?;
    let open = serve::Open::bind(&args.listening).await?;
    let fresh = blueprint.build().await?;
    let words = welcome(open.address, data_dir, &fresh, &recovery);
    open.serve(fresh.show(&words)?, args.listening.limits(), args.rules).await
}

/// What is said about the recovery key.
enum Recovery {
    Shown,
    Written(String),
    Forgotten,
}

impl Recovery {
    fn of(keepsake: &Keepsake) -> Self {
        match keepsake {
            Keepsake::Terminal => Self::Shown,
            Keepsake::File(path) => Self::Written(path.display().to_string()),
            Keepsake::Nobody => Self::Forgotten,
        }
    }

    fn words(&self, identity: &str) -> String {
        match self {
            Self::Shown => format!("Recovery key, shown only now (opens a backup when the root key is lost):\n\n  {identity}"),
            Self::Written(path) => format!("Recovery key written to {path}; keep it away from this machine."),
            Self::Forgotten => "No recovery key was kept: if the root key is lost, so is what is stored here. To make an\ninstance with one: strongroom init --recovery-key-file FILE".to_owned(),
        }
    }
}

fn welcome(address: SocketAddr, data_dir: &DataDir, fresh: &Fresh, recovery: &Recovery) -> String {
    let key = fresh.created.api_key.reveal();
    format!(
        "\
Strongroom is listening on http://{address}

  Data      {directory}
  Stop      Ctrl-C

API key, shown only now:

  {key}

{recovery}

Create a secret (paste this into another terminal):

  curl --request POST \\
    --url http://{local}/v1/credentials \\
    --header 'Authorization: Bearer {key}' \\
    --header 'Content-Type: application/json' \\
    --data '{{
      \"name\": \"Weather service\",
      \"values\": {{\"WEATHER_API_KEY\": \"put-the-real-one-here\"}},
      \"service_slug\": \"weather\",
      \"shared\": false
    }}'

The answer names the keys; the values stay inside.
",
        directory = data_dir.absolute().display(),
        recovery = recovery.words(fresh.identity.reveal()),
        local = reachable(address),
    )
}

fn welcome_back(address: SocketAddr, data_dir: &DataDir) -> String {
    format!(
        "\
Strongroom is listening on http://{address}

  Data      {directory}
  Stop      Ctrl-C

The API key was shown at the first start. To start over with a new instance and lose
what is in this one, stop the server and run:

  rm -r {directory}
",
        directory = data_dir.absolute().display(),
    )
}

/// How this machine reaches the address: nobody can connect to "any".
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}
