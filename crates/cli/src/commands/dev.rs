//! `strongroom dev`: from nothing to a server that answers, in one command.

use super::{serve, setup_link};
use crate::cli::Dev;
use crate::data_dir::DataDir;
use crate::database::Site;
use crate::failure::Failure;
use crate::instance::{Blueprint, Fresh, Keepsake};
use crate::output;

pub(super) fn run(args: &Dev) -> Result<(), Failure> {
    args.logging.start();
    serve::allowed(&args.listening, &args.brokering)?;
    let site = Site::new(&args.place)?;
    serve::block_on(&args.listening, async {
        if site.is_taken().await? {
            again(args, &site).await
        } else {
            // As large as all that a server waits for.
            Box::pin(first(args, &site)).await
        }
    })
}

/// The instance is there: serves it.
async fn again(args: &Dev, site: &Site) -> Result<(), Failure> {
    let (app, open) =
        serve::ready(site, &args.keeper, (&args.listening, &args.brokering, &args.sinks)).await?;
    output::answer(&welcome_back(&open, &site.data_dir))?;
    open.serve(app, args.listening.limits(), args.rules).await
}

/// Makes the instance, once it is certain that it can be served.
async fn first(args: &Dev, site: &Site) -> Result<(), Failure> {
    let data_dir = &site.data_dir;
    let keepsake =
        Keepsake::choose(args.founding.recovery_key_file.as_ref(), data_dir, output::seen_by_a_person())?
            .unwrap_or(Keepsake::Nobody);
    let recovery = Recovery::of(&keepsake);
    let blueprint = Blueprint::draw(&args.founding, &args.keeper, site, keepsake).await?;
    let open = serve::Open::bind((&args.listening, &args.brokering, &args.sinks), site).await?;
    let fresh = blueprint.build().await?;
    let link = fresh.app.set_up_link(&args.founding.owner.email).await;
    let link = link.map_err(|error| Failure::new(error.to_string()))?;
    let link = setup_link::url(&open.url_for_clients(), &link);
    let words = welcome(&open, data_dir, (&fresh, &link), &recovery);
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

fn welcome(
    open: &serve::Open,
    data_dir: &DataDir,
    (fresh, link): (&Fresh, &str),
    recovery: &Recovery,
) -> String {
    let key = fresh.created.api_key.reveal();
    format!(
        "\
Strongroom is listening on {url}

  Data      {directory}
  Docs      {clients}/docs
  Broker    {broker}
  Stop      Ctrl-C

Open this to set up how you sign in to the dashboard (it works once, within a day):

  {link}

API key, shown only now:

  {key}

{recovery}

Create a secret (paste this into another terminal):

  curl --request POST \\
    --url {clients}/v1/credentials \\
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
        url = open.url(),
        broker = open.broker(),
        directory = data_dir.absolute().display(),
        recovery = recovery.words(fresh.identity.reveal()),
        clients = open.url_for_clients(),
    )
}

fn welcome_back(open: &serve::Open, data_dir: &DataDir) -> String {
    format!(
        "\
Strongroom is listening on {url}

  Data      {directory}
  Dashboard {clients}/
  Docs      {clients}/docs
  Broker    {broker}
  Stop      Ctrl-C

For a link to sign in by, should you need one: strongroom setup-link --data-dir {directory}

The API key was shown at the first start. To start over with a new instance and lose
what is in this one, stop the server and run:

  rm -r {directory}
",
        url = open.url(),
        broker = open.broker(),
        clients = open.url_for_clients(),
        directory = data_dir.absolute().display(),
    )
}
