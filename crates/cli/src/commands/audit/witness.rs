//! `strongroom audit witness`: heads kept where the server can't change them, each only
//! when it was proven to go on from the one before.

mod keeping;

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use strongroom_core::audit::note::{Checkpoint, SignedHead, VerifierKey};
use strongroom_core::audit::tree::{Hash, proves_consistency};
use tokio::time::sleep;

use self::keeping::Kept;
use super::{held, key};
use crate::cli::audit::Witness;
use crate::client::{Client, Endpoint, Request, strange};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::printable::printable;

/// What a refusal means when the server doesn't know a tree of the size that is kept.
const NOT_FOUND: &str = "not_found";

pub(super) async fn run(args: &Witness) -> Result<(), Failure> {
    tokio::select! {
        done = watch(args) => done,
        _interrupted = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn watch(args: &Witness) -> Result<(), Failure> {
    let endpoint = Endpoint::at(&args.to).transpose()?;
    let mut kept = Kept::open(&state(args, endpoint.is_some())?)?;
    let client = Client::open_in(None, &args.server)?;
    let mut trusted = Vec::new();
    loop {
        let turn = turn(args, &client, endpoint.as_ref(), (&mut kept, &mut trusted)).await;
        match turn {
            Ok(words) if args.once => return Ok(output::answer(&words.unwrap_or_else(|| kept.unchanged()))?),
            Ok(words) => words.map_or(Ok(()), |words| output::answer(&words))?,
            Err(failure) if args.once || !failure.may_pass() => return Err(failure),
            Err(failure) => output::complain(&format!("warning: {}; trying on", failure.message())),
        }
        sleep(Duration::from_secs(args.every)).await;
    }
}

/// The file that remembers the last head.
fn state(args: &Witness, sends: bool) -> Result<PathBuf, Failure> {
    match (&args.state, sends) {
        (Some(state), true) => Ok(state.clone()),
        (None, false) => Ok(PathBuf::from(&args.to)),
        (None, true) => Err(Failure::new("the last head must be remembered in a file")
            .hint("name one with --state")
            .exit(Exit::Usage)),
        (Some(_), false) => Err(Failure::new("--to names a file, which remembers the last head itself")
            .hint("leave --state out, or give a URL with --to")
            .exit(Exit::Usage)),
    }
}

/// Looks once; what to say of a new head, `None` when there is none.
async fn turn(
    args: &Witness,
    client: &Client,
    endpoint: Option<&Endpoint>,
    (kept, trusted): (&mut Kept, &mut Vec<VerifierKey>),
) -> Result<Option<String>, Failure> {
    if trusted.is_empty() {
        *trusted = keys(args, client, kept).await?;
    }
    let last = kept.last(trusted).map_err(lasting)?;
    let answer = client.send(Request::get("/v2/audit/checkpoint")).await?;
    let note = answer.text();
    let new = SignedHead::parse(note).map_err(|_| strange())?;
    let new = believed(&new, trusted)?;
    if let Some(last) = &last
        && !goes_on(client, last, &new).await?
    {
        return Err(alarm(last, &new, note));
    }
    if last.as_ref().is_some_and(|last| last.size == new.size) {
        return Ok(None);
    }
    if let Some(endpoint) = endpoint {
        endpoint.send(note).await?;
    }
    let size = new.size;
    kept.append(note, new)?;
    let from = last.map_or_else(|| "the first".to_owned(), |last| format!("goes on from {}", last.size));
    Ok(Some(format!("head over {}: {from}, {}", super::events(size), kept_where(kept.path(), endpoint))))
}

fn kept_where(path: &Path, endpoint: Option<&Endpoint>) -> String {
    let path = path.display();
    endpoint
        .map_or_else(|| format!("kept in {path}"), |to| format!("sent to {}, and kept in {path}", to.shown()))
}

/// The keys that are trusted: those named, those pinned, or for the first time the server's.
async fn keys(args: &Witness, client: &Client, kept: &Kept) -> Result<Vec<VerifierKey>, Failure> {
    if !args.key.is_empty() {
        return held::keys(&args.key).map_err(lasting);
    }
    let file = kept.keys_file();
    if file.exists() {
        return held::keys_in(&file).map_err(lasting);
    }
    if kept.is_begun() {
        let missing = Failure::new(format!("{} is missing, and heads are kept already", file.display()));
        return Err(lasting(missing.hint("put it back, or name the keys with --key")));
    }
    let texts = key::of_server(client).await?;
    let keys: Result<Vec<_>, _> = texts.iter().map(|text| text.parse()).collect();
    let keys = keys.ok().filter(|keys: &Vec<VerifierKey>| !keys.is_empty()).ok_or_else(strange)?;
    keeping::pin(&file, &texts)?;
    output::complain(&format!(
        "note: the server's keys are trusted from now on, and kept in {}; compare them with those that `strongroom audit key --data-dir …` prints on its machine",
        file.display()
    ));
    Ok(keys)
}

/// The same, as it will be in a minute, too: what is kept here is wrong, not a server.
fn lasting(failure: Failure) -> Failure {
    failure.code("kept".to_owned())
}

/// What a head says that one of the log's own keys signed.
fn believed(head: &SignedHead, trusted: &[VerifierKey]) -> Result<Checkpoint, Failure> {
    let checkpoint = head.verify(trusted).cloned();
    let checkpoint = checkpoint.map_err(|error| error.to_string()).and_then(|checkpoint| {
        let is_own = trusted.iter().any(|key| key.name() == checkpoint.origin);
        if is_own { Ok(checkpoint) } else { Err(format!("it is of another log, {}", checkpoint.origin)) }
    });
    checkpoint.map_err(|why| {
        Failure::new(format!("ALARM: the server's head can't be believed: {}", printable(&why)))
            .hint("it has other keys than those trusted here: another instance answers there, or the root key was replaced. Find out which before you trust new keys")
            .code("not_believed".to_owned())
    })
}

/// The proof that a server gives.
#[derive(Deserialize)]
struct Consistency {
    proof: Vec<String>,
}

/// Whether the tree of the new head goes on as that of the last.
async fn goes_on(client: &Client, last: &Checkpoint, new: &Checkpoint) -> Result<bool, Failure> {
    let (old_tree, new_tree) = ((last.size, last.root), (new.size, new.root));
    if last.origin != new.origin || new.size < last.size {
        return Ok(false);
    }
    if new.size == last.size {
        return Ok(old_tree == new_tree);
    }
    let request = Request::get("/v2/audit/consistency").query("old", Some(last.size));
    let answer = match client.send(request.query("new", Some(new.size))).await {
        Err(failure) if failure.is(NOT_FOUND) => return Ok(false),
        answer => answer?,
    };
    let proof = answer.read::<Consistency>()?.proof;
    let proof: Vec<_> =
        proof.iter().map(|hash| Hash::parse(hash)).collect::<Option<_>>().ok_or_else(strange)?;
    Ok(proves_consistency(old_tree, new_tree, &proof))
}

/// The record isn't the one that a head is kept of. The other head is shown: both, signed,
/// prove that the server told different things.
fn alarm(last: &Checkpoint, new: &Checkpoint, note: &str) -> Failure {
    output::complain("The head that the server shows now:\n");
    note.lines().for_each(|line| output::complain(&format!("  {}", printable(line))));
    output::complain("");
    let how = if new.size < last.size { "it ends earlier" } else { "what came before is not what it was" };
    Failure::new(format!(
        "ALARM: the record doesn't go on from the head that is kept: {how} (it is over {}, the new one over {}); nothing was kept",
        super::events(last.size),
        new.size
    ))
    .hint("if a backup was restored, that is why: begin a new file. If not, somebody changed the database: run `strongroom audit verify --data-dir …` there, and keep the file with the heads")
    .code("inconsistent".to_owned())
}
