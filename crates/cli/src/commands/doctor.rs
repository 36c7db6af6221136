//! `strongroom doctor`: looks at an instance from all sides and changes
//! nothing. One line a check, and a remedy for each that fails.

use std::fs;
use strongroom_core::App;
use strongroom_core::app::Verified;
use strongroom_keys::{file, passphrase};

use crate::cli::Doctor;
use crate::data_dir::{DataDir, private};
use crate::database::Site;
use crate::failure::Failure;
use crate::{instance, output, root_key};

/// How many broken rows are named; there may be millions.
const NAMED: usize = 20;

/// Whether all is well.
pub(super) fn run(args: &Doctor) -> Result<bool, Failure> {
    let site = Site::new(&args.place)?;
    let checks = super::block_on(async { Ok(examine(args, &site).await) })?;
    let healthy = checks.iter().all(|check| check.found.is_ok());
    let report = if args.json { json(&checks, healthy) } else { text(&checks, healthy) };
    output::answer(&report)?;
    Ok(healthy)
}

/// One thing that was looked at: what is good about it, or what is wrong.
struct Check {
    name: &'static str,
    found: Result<String, Failure>,
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
    match instance::open(database.store(), &args.keeper, site).await {
        Err(failure) => checks.push(Check { name: "root key", found: Err(failure) }),
        Ok(app) => {
            checks.push(Check { name: "root key", found: keeper(&app, args, data_dir).await });
            checks.push(Check { name: "rows", found: rows(&app).await });
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
    Ok(format!("{}, closed to others", data_dir.absolute().display()))
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

async fn keeper(app: &App, args: &Doctor, data_dir: &DataDir) -> Result<String, Failure> {
    let instance = app.store().instance().await?;
    let provider = instance.as_ref().map(|stored| stored.row().root_provider.as_str()).unwrap_or_default();
    Ok(match provider {
        file::PROVIDER => {
            format!(
                "{}, closed to others, opens the instance",
                root_key::key_file(&args.keeper, data_dir).display()
            )
        }
        passphrase::PROVIDER => "the passphrase opens the instance".to_owned(),
        other => format!("{other}, opens the instance"),
    })
}

async fn rows(app: &App) -> Result<String, Failure> {
    let progress = super::progress("checking", app.store().rows().await?);
    let verified = app.verify(|| progress.inc(1)).await;
    progress.finish_and_clear();
    judge(&verified?)
}

fn judge(verified: &Verified) -> Result<String, Failure> {
    let Verified { rows, findings } = verified;
    if findings.is_empty() {
        return Ok(format!("{rows} checked: every seal opens, every MAC holds"));
    }
    let named: Vec<_> =
        findings.iter().take(NAMED).map(|f| format!("{} {} {}", f.table, f.id, f.problem)).collect();
    let more = findings.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(Failure::new(format!("{} of {rows} fail: {}{more}", findings.len(), named.join("; ")))
        .hint("somebody or something changed the database: keep a copy of it, and restore a backup"))
}

fn text(checks: &[Check], healthy: bool) -> String {
    let mut lines = Vec::new();
    for check in checks {
        match &check.found {
            Ok(detail) => lines.push(format!("ok    {:<15} {detail}", check.name)),
            Err(failure) => {
                lines.push(format!("FAIL  {:<15} {}", check.name, failure.message()));
                lines.extend(failure.remedy().map(|remedy| format!("      {:<15} {remedy}", "to do:")));
            }
        }
    }
    let failed = checks.iter().filter(|check| check.found.is_err()).count();
    lines.push(String::new());
    lines.push(if healthy {
        "All is well.".to_owned()
    } else {
        format!("{failed} of {} checks failed.", checks.len())
    });
    lines.join("\n")
}

fn json(checks: &[Check], healthy: bool) -> String {
    let checks: Vec<_> = checks
        .iter()
        .map(|check| match &check.found {
            Ok(detail) => serde_json::json!({"name": check.name, "ok": true, "detail": detail}),
            Err(failure) => serde_json::json!({
                "name": check.name, "ok": false, "detail": failure.message(), "remedy": failure.remedy(),
            }),
        })
        .collect();
    serde_json::json!({"ok": healthy, "checks": checks}).to_string()
}
