//! `strongroom audit verify --data-dir`: the record of an instance, held against its signed
//! head, the heads that were kept, and its rows; beside a running server.

use std::path::{Path, PathBuf};
use strongroom_core::App;
use strongroom_core::app::{VerifiedEvents, VerifiedStates, Wrong};
use strongroom_core::audit::note::{Checkpoint, SignedHead};

use super::held;
use crate::checkpoints::Checkpoints;
use crate::cli::audit::Verify;
use crate::commands::report::{self, Check};
use crate::failure::{Exit, Failure};

/// What the name of a head begins with that was put aside.
const ASIDE: &str = "diverged-";

/// Whether nothing was found.
pub(super) async fn run(args: &Verify) -> Result<bool, Failure> {
    let Some(site) = super::site(&args.itself)? else {
        return Err(Failure::new("it isn't said what is to be verified")
            .hint("name an exported file, or the directory of an instance with --data-dir")
            .exit(Exit::Usage));
    };
    let app = super::open(&site, &args.itself).await?;
    // Before the record is read: what is kept later may be over more of it.
    let checkpoints = Checkpoints::of(site.data_dir.path());
    let (kept, mut checks) = kept(&app, args, &checkpoints)?;
    let heads = kept.iter().map(|kept| kept.checkpoint.clone()).collect();
    let bar = crate::commands::bar("checking events", size(&app).await?, "{human_pos}/{human_len}");
    let seen = app.verify_events(heads, |more| bar.inc(more)).await;
    bar.finish_and_clear();
    checks.splice(0..0, judge(&seen.map_err(super::unread)?, &kept, &checkpoints));
    if !args.key.is_empty() {
        checks.push(Check { name: "signature", found: signature(&app, args).await });
    }
    if args.state {
        checks.push(Check { name: "rows", found: rows(&app).await });
    }
    report::show(&checks, args.json)
}

/// How many events the stored head is over.
async fn size(app: &App) -> Result<u64, Failure> {
    Ok(app.store().audit_head().await?.map_or(0, |head| head.size))
}

/// A head that was kept, and where.
struct Kept {
    path: PathBuf,
    checkpoint: Checkpoint,
}

/// The heads to compare, and what is wrong with others.
fn kept(app: &App, args: &Verify, of_server: &Checkpoints) -> Result<(Vec<Kept>, Vec<Check>), Failure> {
    let mut notes = of_server.read()?;
    notes.extend(held::newest(&args.held.checkpoint)?.into_iter().map(|held| (held.path, held.text)));
    let (mut kept, mut checks) = (Vec::new(), Vec::new());
    for (path, note) in notes {
        let is_aside =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(ASIDE.as_bytes()));
        match app.own_checkpoint(&note) {
            Ok(checkpoint) if is_aside => checks.push(wrong_head(diverged(&path, checkpoint.size))),
            Ok(checkpoint) => kept.push(Kept { path, checkpoint }),
            Err(error) => checks.push(wrong_head(
                Failure::new(format!("{} can't be believed: {error}", path.display()))
                    .hint("it is another instance's, or somebody altered it: take it away from there, and ask who can write there"),
            )),
        }
    }
    Ok((kept, checks))
}

fn wrong_head(failure: Failure) -> Check {
    Check { name: "kept heads", found: Err(failure) }
}

fn diverged(path: &Path, size: u64) -> Failure {
    Failure::new(format!(
        "{}: when a server started, the record did not go on from this head, which is over {}",
        path.display(),
        super::events(size)
    ))
    .hint("if a backup had been restored, that is why: move the file elsewhere. If not, somebody changed the database: keep a copy of it")
}

/// What was seen of the record, a line each.
fn judge(seen: &VerifiedEvents, kept: &[Kept], of_server: &Checkpoints) -> Vec<Check> {
    let (mut record, mut heads) = (Vec::new(), Vec::new());
    for wrong in &seen.wrong {
        match wrong {
            Wrong::Kept(size) | Wrong::Truncated { kept: size, .. } | Wrong::Headless(size) => {
                heads.push(wrong_head(not_gone_on(wrong, *size, kept)));
            }
            _ => record.push(Check { name: "record", found: Err(altered(wrong)) }),
        }
    }
    if record.is_empty() {
        record.push(Check { name: "record", found: Ok(whole(seen)) });
    }
    if heads.is_empty() && (kept.is_empty() || seen.kept > 0) {
        heads.push(Check { name: "kept heads", found: Ok(compared(seen.kept, kept.len(), of_server)) });
    }
    record.extend(heads);
    record
}

fn whole(seen: &VerifiedEvents) -> String {
    match &seen.head {
        None => "nothing was sealed yet".to_owned(),
        Some(head) => {
            format!("the signed head is over {}, and they are what they were", super::events(head.size))
        }
    }
}

fn compared(seen: usize, all: usize, of_server: &Checkpoints) -> String {
    match all {
        0 => format!(
            "there are none in {}: an older state of the database would not be noticed",
            of_server.directory().display()
        ),
        all if seen < all => format!("{seen} of {all} were compared, and the record goes on from each"),
        1 => "one, and the record goes on from it".to_owned(),
        all => format!("{all}, and the record goes on from each"),
    }
}

/// Why the record isn't that of a head that was kept.
fn not_gone_on(wrong: &Wrong, size: u64, kept: &[Kept]) -> Failure {
    let of_size = kept.iter().filter(|kept| kept.checkpoint.size == size);
    let paths: Vec<_> = of_size.map(|kept| kept.path.display().to_string()).collect();
    Failure::new(format!("{wrong} ({})", paths.join(", "))).hint(
        "if a backup was restored, that is why: move the heads of after it elsewhere. If not, somebody changed the database: keep a copy of it and of the heads",
    )
}

fn altered(wrong: &Wrong) -> Failure {
    Failure::new(wrong.to_string()).hint(match wrong {
        Wrong::Hashes(_) => {
            "somebody or something changed the database: keep a copy of it. Nothing more can be sealed until a backup is restored"
        }
        Wrong::Head => {
            "somebody or something changed the database, or the root key is another instance's: keep a copy, and restore a backup"
        }
        _ => {
            "somebody or something changed the database: keep a copy of it, compare exports or backups of before to see what it was, and restore a backup"
        }
    })
}

/// Whether the stored head is signed by a key that was named.
async fn signature(app: &App, args: &Verify) -> Result<String, Failure> {
    let keys = held::keys(&args.key)?;
    let Some(head) = app.store().audit_head().await? else { return Ok("nothing was sealed yet".to_owned()) };
    let signed = SignedHead::parse(&head.note).and_then(|note| note.verify(&keys).cloned());
    match signed {
        Ok(head) => Ok(format!("the head over {} is signed by a key that was named", super::events(head.size))),
        Err(error) => Err(Failure::new(format!("the stored head can't be believed: {error}")).hint(
            "compare the key with `strongroom audit key --data-dir …`: where they differ, the key is another instance's, or this instance isn't yours",
        )),
    }
}

async fn rows(app: &App) -> Result<String, Failure> {
    let bar = crate::commands::progress("checking rows", app.store().rows().await?);
    let seen = app.verify_states(|| bar.inc(1)).await;
    bar.finish_and_clear();
    let VerifiedStates { rows, wrong } = seen.map_err(super::unread)?;
    if wrong.is_empty() {
        return Ok(format!("{rows} checked: each is as the last event about it says"));
    }
    let named = report::few(&wrong, |row| format!("{} {} {}", row.table, row.id, row.problem));
    Err(Failure::new(format!("{} of {rows}: {named}", wrong.len())).hint(
        "somebody changed the database: keep a copy of it, and do again by the API what was undone, such as revoking a key",
    ))
}
