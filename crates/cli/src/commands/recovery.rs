//! `strongroom recovery`: whether the recovery key opens everything in a backup, of which
//! values are opened and dropped, and another recovery key in the place of it.

use strongroom_core::app::{Examination, Verified};
use strongroom_keys::recovery::Identity;
use strongroom_store::backup::Kept;

use crate::backups::Opened;
use crate::cli::backups::{Recovery, RecoveryReplace, RecoveryTest};
use crate::data_dir::Traces;
use crate::database::Site;
use crate::failure::Failure;
use crate::instance::Keepsake;
use crate::{instance, output};

use super::{doctor, keys};

pub(super) fn run(command: &Recovery) -> Result<(), Failure> {
    match command {
        Recovery::Test(args) => test(args),
        Recovery::Replace(args) => super::block_on(replace(args)),
    }
}

/// `recovery replace`.
async fn replace(args: &RecoveryReplace) -> Result<(), Failure> {
    let site = Site::new(&args.on.place)?;
    site.data_dir.check()?;
    let person = output::seen_by_a_person() && !args.on.json;
    let keepsake = Keepsake::choose(args.file.as_ref(), &site.data_dir, person)?;
    let keepsake = keepsake.ok_or_else(|| {
        Failure::new("there is nobody to show the recovery key to")
            .hint("write it to a file with --recovery-key-file, or run this on a terminal")
    })?;
    let (custody, _) = instance::custody(site.beside().await?.store(), &args.on.keeper, &site).await?;
    let identity = Identity::generate();
    let mut files = Traces::default();
    if let Keepsake::File(path) = &keepsake {
        identity.write(path)?;
        files.made(path.clone());
    } else {
        // Shown before it is of use: what was never seen must not be what opens backups.
        output::line(identity.reveal())?;
        let word =
            output::ask("Note it, away from this machine. Then say yes to have backups encrypted to it: ")?;
        if word.trim() != "yes" {
            return Err(
                Failure::new("the recovery key was not replaced").hint("forget the one that was shown")
            );
        }
    }
    let turned = custody.replace_recovery(identity.recipient()).await;
    if keys::may_have_turned(&turned) {
        files.keep();
    }
    turned.map_err(keys::refused)?;
    let recipient = instance::recipient(&identity);
    let told = if args.on.json {
        serde_json::json!({"recovery_recipient": recipient}).to_string()
    } else {
        format!(
            "Backups from now on are for {recipient}.\nThose of before are opened by the recovery key of before: keep it as long as you keep them."
        )
    };
    Ok(output::answer(&told)?)
}

fn test(args: &RecoveryTest) -> Result<(), Failure> {
    let opened = Opened::open(&args.file, &args.identity, args.verifier.as_ref())?;
    let verified = examined(&opened)?;
    if let Some(broken) = doctor::broken(&verified) {
        return Err(Failure::new(broken)
            .hint("the database was altered before it was backed up: try an older backup"));
    }
    Ok(output::answer(&if args.json { json(&opened, &verified) } else { text(args, &opened, &verified) })?)
}

/// Every row and every seal of a backup.
fn examined(opened: &Opened) -> Result<Verified, Failure> {
    let mut examination = Examination::new(&opened.keys);
    let bar = super::progress("opening rows", opened.manifest.rows());
    let walked = opened.payload.walk(|kept| {
        match kept {
            Kept::Row(row) => examination.check(row),
            Kept::Secret(secret) => examination.secret(secret),
            Kept::Version(version) => examination.version(&version),
            Kept::Other => {}
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    walked?;
    Ok(examination.end())
}

fn json(opened: &Opened, verified: &Verified) -> String {
    serde_json::json!({
        "ok": true,
        "rows": opened.manifest.rows(),
        "checked": verified.rows,
        "values": verified.values,
        "made_at": opened.manifest.made_at,
    })
    .to_string()
}

fn text(args: &RecoveryTest, opened: &Opened, verified: &Verified) -> String {
    format!(
        "\
The recovery key opens everything in {file}

  from     {made_at}
  rows     {rows}, of which {checked} are sealed or have a MAC: every one holds
  values   {values} opened, none shown or kept

Nothing was written. With this file and this key the instance can be restored.",
        file = args.file.display(),
        made_at = opened.manifest.made_at,
        rows = opened.manifest.rows(),
        checked = verified.rows,
        values = verified.values,
    )
}
