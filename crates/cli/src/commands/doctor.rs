//! `strongroom doctor`: looks at an instance from all sides and changes
//! nothing. One line a check, and a remedy for each that fails.

use indicatif::BinaryBytes;
use std::fs;
use strongroom_core::App;
use strongroom_core::app::{SEALED_AT_ONCE, Verified};
use strongroom_keys::{file, passphrase};

use super::report::{self, Check};
use crate::checkpoints::Checkpoints;
use crate::cli::Doctor;
use crate::data_dir::{DataDir, private};
use crate::database::{Database, Site};
use crate::failure::Failure;
use crate::instance::Opened;
use crate::{instance, root_key};

/// Bytes of its disk below which a data directory is in want of room: a few minutes of much work.
const ROOM: u64 = 64 << 20;

/// What to do about the record.
const VERIFY: &str = "run `strongroom audit verify --data-dir …`; after a backup was restored, move the heads of the time after it away";

/// Whether all is well.
pub(super) fn run(args: &Doctor) -> Result<bool, Failure> {
    let site = Site::new(&args.place)?;
    let checks = super::block_on(async { Ok(examine(args, &site).await) })?;
    report::show(&checks, args.json)
}

async fn examine(args: &Doctor, site: &Site) -> Vec<Check> {
    let data_dir = &site.data_dir;
    let mut checks = vec![Check { name: "data directory", found: directory(data_dir) }];
    if !site.is_shared() {
        checks.push(Check { name: "database files", found: files(data_dir) });
    }
    let database = match site.inspect().await {
        Ok(database) => database,
        Err(failure) => {
            checks.push(Check { name: "database", found: Err(failure) });
            return checks;
        }
    };
    checks.push(Check { name: "database", found: database.health().await });
    match instance::look(database.store(), &args.keeper, site).await {
        Err(failure) => checks.push(Check { name: "root key", found: Err(failure) }),
        Ok(Opened { instance: app, root, missed }) => {
            let opens = keeper(root.provider(), args, data_dir);
            match missed {
                None => checks.push(Check { name: "root key", found: Ok(opens) }),
                Some(missed) => {
                    checks.push(Check { name: "root key", found: Err(missed) });
                    checks.push(Check { name: "added root key", found: Ok(opens) });
                }
            }
            checks.push(Check { name: "rows", found: rows(&app).await });
            checks.push(Check { name: "audit", found: audit(&app, &database, data_dir).await });
        }
    }
    checks
}

fn directory(data_dir: &DataDir) -> Result<String, Failure> {
    let path = data_dir.path();
    let metadata = fs::metadata(path).map_err(|error| {
        Failure::because(format!("{} can't be looked at", path.display()), &error)
            .hint("name the directory of an instance with --data-dir")
    })?;
    private(path, &metadata, 0o700)?;
    let free = rustix::fs::statvfs(path)
        .map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
        .map_err(|error| Failure::because(format!("{}'s disk can't be looked at", path.display()), &error))?;
    Ok(format!("{}, closed to others, {}", data_dir.absolute().display(), room(free)?))
}

/// What is said of so many free bytes.
fn room(free: u64) -> Result<String, Failure> {
    let bytes = BinaryBytes(free);
    if free >= ROOM {
        return Ok(format!("{bytes} free"));
    }
    Err(Failure::new(format!("only {bytes} are free on the disk of the data directory"))
        .hint("make room: on a full disk every change is refused"))
}

fn files(data_dir: &DataDir) -> Result<String, Failure> {
    let mut seen = 0;
    for path in data_dir.store_files() {
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            private(&path, &metadata, 0o600)?;
            seen += 1;
        }
    }
    Ok(format!("{seen} files, closed to others"))
}

fn keeper(provider: &str, args: &Doctor, data_dir: &DataDir) -> String {
    match provider {
        file::PROVIDER => {
            format!(
                "{}, closed to others, opens the instance",
                root_key::key_file(&args.keeper, data_dir).display()
            )
        }
        passphrase::PROVIDER => "the passphrase opens the instance".to_owned(),
        other => format!("{other}, opens the instance"),
    }
}

async fn rows(app: &App) -> Result<String, Failure> {
    let progress = super::progress("checking rows", app.store().rows().await?);
    let verified = app.verify(|| progress.inc(1)).await;
    progress.finish_and_clear();
    judge(&verified?)
}

/// Whether the record goes on from the heads that are kept; its events are `audit verify`'s.
async fn audit(app: &App, database: &Database, data_dir: &DataDir) -> Result<String, Failure> {
    if database.is_older().await? {
        return Ok("comes with the newer schema".to_owned());
    }
    let (left, kept) =
        Checkpoints::of(data_dir.path()).left_behind(app).await.map_err(|failure| failure.hint(VERIFY))?;
    match left.first() {
        None => {
            let sealed = match app.store().audit_head().await? {
                Some(head) => {
                    let heads = if kept == 1 {
                        "the head that is".to_owned()
                    } else {
                        format!("all {kept} heads that are")
                    };
                    format!("{} events sealed, going on from {heads} kept", head.size)
                }
                None => "nothing is sealed yet".to_owned(),
            };
            Ok(format!("{sealed}{}", waiting(app).await?))
        }
        Some(path) => {
            let path = path.display();
            Err(Failure::new(format!("the record does not go on from the head in {path}")).hint(VERIFY))
        }
    }
}

/// What isn't sealed yet: nothing for long, while a server runs.
async fn waiting(app: &App) -> Result<String, Failure> {
    Ok(match app.waiting_events().await? {
        None => String::new(),
        Some((count, since)) => {
            let more = if count < SEALED_AT_ONCE { "" } else { " or more" };
            format!("; {count}{more} not yet, the first of {since}: a server seals them")
        }
    })
}

fn judge(verified: &Verified) -> Result<String, Failure> {
    match broken(verified) {
        None => Ok(format!("{} checked: every seal opens, every MAC holds", verified.rows)),
        Some(broken) => Err(Failure::new(broken)
            .hint("somebody or something changed the database: keep a copy of it, and restore a backup")),
    }
}

/// Which rows fail, if any does.
pub(super) fn broken(verified: &Verified) -> Option<String> {
    let Verified { rows, findings, .. } = verified;
    if findings.is_empty() {
        return None;
    }
    let named = report::few(findings, |f| format!("{} {} {}", f.table, f.id, f.problem));
    Some(format!("{} of {rows} fail: {named}", findings.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_is_found() {
        assert_eq!(room(3 << 29).unwrap(), "1.50 GiB free");
        assert_eq!(room(ROOM).unwrap(), "64.00 MiB free");
        let full = room(ROOM - (1 << 20)).unwrap_err();
        assert_eq!(full.message(), "only 63.00 MiB are free on the disk of the data directory");
        assert!(full.remedy().unwrap().starts_with("make room"));
    }
}
