//! `strongroom restore`: a backup into an empty place, of whichever engine. It is opened
//! with the recovery key, compared row by row, and examined; until the instance's own row
//! is stored, last of all, nobody can serve what is there.

use std::path::PathBuf;
use std::sync::Arc;
use strongroom_core::app::{Verified, VerifiedEvents};
use strongroom_core::instance::Instance;
use strongroom_core::{App, OsRandom, Store};
use strongroom_store::copy::Copy;

use crate::backups::Opened;
use crate::checkpoints::Checkpoints;
use crate::cli::RootKeyKind;
use crate::cli::backups::Restore;
use crate::data_dir::Traces;
use crate::database::Site;
use crate::failure::Failure;
use crate::root_key::{self, Plan};
use crate::{instance, output};

use super::{copy, doctor};

/// What helps when it was interrupted.
const AGAIN: &str = "mend that and run the same command again: it goes on where it stopped";

pub(super) fn run(args: &Restore) -> Result<(), Failure> {
    let restored = tokio::runtime::Runtime::new()?.block_on(restored(args))?;
    if let Some(wrong) = restored.wrong() {
        return Err(Failure::new(format!("the backup was restored as it is, but it is not whole: {wrong}"))
            .hint("the database was altered before it was backed up: keep this, and try an older backup"));
    }
    output::answer(&if args.json { restored.json() } else { restored.text(args) })?;
    Ok(())
}

/// What was done, and what was seen of it.
struct Restored {
    made_at: String,
    rows: u64,
    there: u64,
    verified: Verified,
    events: VerifiedEvents,
    /// Kept heads that the restored record doesn't go on from.
    ahead: Vec<PathBuf>,
    /// What is to be known of the root key.
    root_key: String,
    /// The kinds of root keys that were added to it.
    added: Vec<String>,
    options: String,
}

async fn restored(args: &Restore) -> Result<Restored, Failure> {
    let site = Site::new(&args.place)?;
    site.data_dir.check()?;
    let plan = plan(args, &site)?;
    let Opened { manifest, payload, instance, master, keys } =
        Opened::open(&args.file, &args.identity, args.key.as_ref())?;
    // For the root key, and for the signed heads that servers keep.
    let mut directories = Traces::default();
    directories.make_directory(site.data_dir.path())?;
    let origin = payload.origin(args.file.display().to_string());
    let copy = Copy::new(origin, site.destination(args.start_over).await?).await?;
    directories.keep();
    let (rows, there) = (copy.rows(), copy.there());
    carry(&copy).await?;
    let instance = match plan {
        None => instance,
        Some(plan) => {
            let new = rewrapped(plan, instance.row().clone(), &master).await?;
            keys.authenticate(new)
        }
    };
    copy.complete(Some(&instance)).await.map_err(|error| Failure::from(error).hint_if_none(AGAIN))?;
    let store = site.inspect().await?.store();
    let app = App::open_recovered(Arc::clone(&store), &master, instance::world()).await?;
    let (verified, events) = examined(&app, &*store).await?;
    let added = app.instance_keys().await?.roots.into_iter().skip(1).map(|root| root.provider).collect();
    Ok(Restored {
        made_at: manifest.made_at,
        rows,
        there,
        verified,
        events,
        ahead: ahead(&app, &site).await?,
        added,
        root_key: copy::root_key_of(&site.data_dir, instance.row(), args.new_root_key),
        options: site.options(),
    })
}

/// The root key that is to be made, if one is; so far it isn't.
fn plan(args: &Restore, site: &Site) -> Result<Option<Plan>, Failure> {
    if !args.new_root_key {
        return Ok(None);
    }
    let path = root_key::key_file(&args.keeper, &site.data_dir);
    if args.kind.root_key == RootKeyKind::File && path.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{} exists already; a new root key is never put in its place", path.display()))
            .hint("move it away: it is the old root key, another instance's, or what an interrupted restore left; or leave out --new-root-key"));
    }
    Plan::new(args.kind.root_key, &args.keeper, &site.data_dir).map(Some)
}

/// Brings every row but the instance's own, and compares them.
async fn carry(copy: &Copy) -> Result<(), Failure> {
    let bar = super::progress("restoring rows", copy.rows());
    bar.inc(copy.there());
    let carried = copy.carry(|rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    carried.map_err(|error| Failure::from(error).hint_if_none(AGAIN))?;
    let bar = super::progress("comparing rows", copy.rows());
    let compared = copy.hold_against(|rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    compared.map_err(|error| Failure::from(error).hint_if_none(AGAIN))
}

/// The instance with its master key under a root key that is made now.
async fn rewrapped(
    plan: Plan,
    instance: Instance,
    master: &zeroize::Zeroizing<Vec<u8>>,
) -> Result<Instance, Failure> {
    let mut files = Traces::default();
    let root = plan.create(&mut files).await?;
    if let Some(note) = &root.note {
        output::complain(&format!("note: {note}"));
    }
    let rewrapped = instance.rewrapped(master.clone(), &*root.key, root.parameters, &OsRandom).await?;
    // From here on the instance may be under it, whatever is heard of that.
    files.keep();
    Ok(rewrapped)
}

/// What was restored, as a server would read it.
async fn examined(app: &App, store: &dyn Store) -> Result<(Verified, VerifiedEvents), Failure> {
    let bar = super::progress("opening rows", store.rows().await?);
    let verified = app.verify(|| bar.inc(1)).await;
    bar.finish_and_clear();
    let sealed = store.audit_head().await?.map_or(0, |head| head.size);
    let bar = super::progress("checking events", sealed);
    let events = app.verify_events(Vec::new(), |events| bar.inc(events)).await;
    bar.finish_and_clear();
    Ok((verified?, events?))
}

/// The kept heads of this instance that were signed over more, or over something else.
async fn ahead(app: &App, site: &Site) -> Result<Vec<PathBuf>, Failure> {
    let checkpoints = Checkpoints::of(site.data_dir.path());
    let ahead = checkpoints.left_behind(app).await.map_err(|failure| {
        failure.hint(format!("the instance is restored; look at {}", checkpoints.directory().display()))
    });
    Ok(ahead?.0)
}

impl Restored {
    /// What is not as it should be.
    fn wrong(&self) -> Option<String> {
        let events: Vec<_> = self.events.wrong.iter().map(ToString::to_string).collect();
        doctor::broken(&self.verified).or_else(|| (!events.is_empty()).then(|| events.join("; ")))
    }

    /// What is to be known of added root keys, which came along.
    fn others(&self) -> String {
        if self.added.is_empty() {
            return String::new();
        }
        format!(
            "\nRoot keys that were added open it, too: {}. Take one away with `strongroom keys remove-root`.",
            self.added.join(", ")
        )
    }

    fn json(&self) -> String {
        serde_json::json!({
            "made_at": self.made_at,
            "rows": self.rows,
            "there_before": self.there,
            "values": self.verified.values,
            "events": self.events.leaves,
            "checkpoints_ahead": self.ahead,
            "added_root_keys": self.added,
        })
        .to_string()
    }

    fn text(&self, args: &Restore) -> String {
        let before = match self.there {
            0 => String::new(),
            there => format!(", {there} of which an earlier restore had brought"),
        };
        let ahead: Vec<_> = self.ahead.iter().map(|path| format!("  {}\n", path.display())).collect();
        let ahead = match ahead.as_slice() {
            [] => String::new(),
            ahead => format!(
                "\nThese signed heads are over events that came after the backup, and are gone with it; they\nare left as they are. The server that finds the newest says so once:\n\n{}",
                ahead.concat()
            ),
        };
        format!(
            "\
Restored {rows} rows{before}, and found them equal to the backup's

  from    {file}
  as of   {made_at}
  opened  {values} values; every seal opens, every MAC holds
  events  {events} sealed ones, as their signed head has them

{root_key}{others}
{ahead}
Then check it and serve it:

  strongroom doctor {options}
  strongroom serve {options}

Runs, API keys and sessions are as they were at that moment: what was revoked or changed
since is to be revoked and changed again.",
            rows = self.rows,
            file = args.file.display(),
            made_at = self.made_at,
            values = self.verified.values,
            events = self.events.leaves,
            root_key = self.root_key,
            others = self.others(),
            options = self.options,
        )
    }
}
