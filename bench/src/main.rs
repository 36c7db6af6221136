//! The floor: what this machine does without Strongroom. `floor serve` is a
//! bare axum handler for GET and POST, `floor fdatasync DIR` times appending
//! 4 KiB and making it durable. `bench/run` measures Strongroom beside both.
//! `floor masking` is no floor: it times the masker of a run's output.

mod masking;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Appends timed; enough for a steady median.
const APPENDS: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve"] => serve(),
        ["fdatasync", directory] => fdatasync(Path::new(directory)),
        ["masking"] => masking::run(),
        ["scanner", values] => masking::build(values),
        _ => Err("usage: floor serve | floor fdatasync DIR | floor masking".into()),
    }
}

/// The fields of a create, parsed as any axum program would.
#[derive(Deserialize)]
struct Create {
    name: String,
    values: BTreeMap<String, String>,
    service_slug: Option<String>,
}

async fn create(Json(body): Json<Create>) -> (StatusCode, Json<Value>) {
    let keys: Vec<&String> = body.values.keys().collect();
    (StatusCode::CREATED, Json(answer(&body.name, body.service_slug.as_deref(), &json!(keys))))
}

/// As many bytes as Strongroom answers with.
fn answer(name: &str, service_slug: Option<&str>, keys: &Value) -> Value {
    json!({
        "id": "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d",
        "team_id": "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d",
        "user_id": "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d",
        "name": name,
        "service_slug": service_slug,
        "env_var_keys": keys,
        "created_by": "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d",
        "created_at": "2026-11-07T05:31:56.000Z",
        "updated_at": "2026-11-07T05:31:56.000Z",
    })
}

#[tokio::main]
async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let show = || async { Json(answer("bench", Some("stripe"), &json!(["STRIPE_API_KEY"]))) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    axum::serve(listener, Router::new().route("/", get(show).post(create))).await?;
    Ok(())
}

/// Prints the median and the 99th percentile of one appending fdatasync, in
/// microseconds.
fn fdatasync(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let path = directory.join("fdatasync.probe");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut times = Vec::with_capacity(APPENDS);
    for _ in 0..APPENDS {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(&path)?;
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(APPENDS * part / 100).copied().unwrap_or(0.0);
    writeln!(std::io::stdout(), "{:.1} {:.1}", at(50), at(99))?;
    Ok(())
}
