//! `strongroom init`: makes an instance, and shows its API key once.

use crate::cli::Init;
use crate::database::Site;
use crate::failure::Failure;
use crate::instance::{self, Blueprint, Fresh, Keepsake};
use crate::output;

pub(super) fn run(args: &Init) -> Result<(), Failure> {
    let site = Site::new(&args.place)?;
    let person = output::seen_by_a_person() && !args.json;
    let keepsake = Keepsake::choose(args.founding.recovery_key_file.as_ref(), &site.data_dir, person)?
        .ok_or_else(nowhere_to_keep)?;
    let fresh = super::block_on(async {
        Blueprint::draw(&args.founding, &args.keeper, &site, keepsake).await?.build().await
    })?;
    let report = if args.json { json(&fresh) } else { text(args, &fresh, &site) };
    fresh.show(&report).map(drop)
}

fn nowhere_to_keep() -> Failure {
    Failure::new(
        "there is no place for the recovery key: no --recovery-key-file, and no terminal to show it on",
    )
    .hint("add --recovery-key-file FILE with a new file outside the data directory; nothing was created")
}

/// The whole answer for a program. The recovery key is never in it.
fn json(fresh: &Fresh) -> String {
    serde_json::json!({
        "team_id": fresh.created.team_id.to_string(),
        "user_id": fresh.created.user_id.to_string(),
        "api_key": fresh.created.api_key.reveal(),
        "recovery_recipient": instance::recipient(&fresh.identity),
    })
    .to_string()
}

fn text(args: &Init, fresh: &Fresh, site: &Site) -> String {
    let recovery = match &args.founding.recovery_key_file {
        Some(path) => format!("Recovery key written to {}; keep it away from this machine.", path.display()),
        None => format!(
            "Recovery key, shown only now. Keep it away from this machine; with a backup it opens\neverything, also when the root key is lost:\n\n  {}",
            fresh.identity.reveal()
        ),
    };
    format!(
        "\
Made an instance in {directory}

  Team     {team} ({team_id})
  Owner    {email} ({user_id})

API key of the owner, shown only now:

  {key}

{recovery}

Serve it:

  strongroom serve {options}{root_key}",
        directory = site.data_dir.absolute().display(),
        team = args.founding.team,
        team_id = fresh.created.team_id,
        email = args.founding.owner.email.as_str(),
        user_id = fresh.created.user_id,
        key = fresh.created.api_key.reveal(),
        options = site.options(),
        root_key = args.founding.kind.root_key.options(),
    )
}
