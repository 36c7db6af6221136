//! `strongroom run`: a command with an agent's secrets in its environment. It
//! stands between the command and whoever started it as if it weren't there; no
//! value is written anywhere, or shown in a list of processes.

mod agent;
mod broker;
mod child;
mod environment;
mod events;
mod forward;
mod lease;
mod names;
mod relay;
mod session;
mod signals;
mod supervise;
mod terminal;
mod wiring;

use rustix::fd::OwnedFd;
use rustix::termios::isatty;
use secrecy::ExposeSecret;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::scanner::Scanner;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use uuid::Uuid;
use zeroize::Zeroizing;

pub(super) use session::{become_job, lead_session};

use crate::cli::run::Run;
use crate::client::Client;
use crate::failure::Failure;
use crate::harden::Inherited;
use crate::output;
use broker::Way;
use child::Child;
use environment::Values;
use events::{Events, Teller};
use lease::{Lease, Wanted};
use relay::{Copying, Relay};
use signals::Caught;
use supervise::{Job, Post};
use wiring::Wiring;

/// Whoever wants this to end while the run is being started waits for no longer.
const STARTING: Duration = Duration::from_secs(2);

/// Runs a command, and ends as it does.
///
/// # Errors
/// When it can't be started; the run is stopped then.
pub(super) fn run(args: &Run, before: Inherited) -> Result<ExitCode, Failure> {
    let mut events = Events::catch()?;
    let mut held = Held { runtime: Builder::new_current_thread().enable_all().build()?, lease: None };
    let Held { runtime, lease } = &mut held;
    let prepared = runtime.block_on(prepare(args, lease, &mut events));
    let given = match prepared? {
        Ok(given) => given,
        Err(caught) => return Ok(caught.exit_code().into()),
    };
    let status = runtime.block_on(async {
        let teller = events.teller();
        let job = start(args, &given, before, &teller)?;
        // The way to the broker lasts as long as the command.
        let Given { values, way: _way } = given;
        drop(values);
        let Some(lease) = lease else { return job.finish(&mut events).await };
        tokio::select! {
            status = job.finish(&mut events) => status,
            never = lease.keep(&teller) => match never {},
        }
    })?;
    Ok(child::exit_code(status).into())
}

/// A run that is stopped whatever happens to this process, short of its being
/// killed.
struct Held {
    runtime: Runtime,
    lease: Option<Lease>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(lease) = &self.lease else { return };
        if let Err(failure) = self.runtime.block_on(lease.stop()) {
            let words = failure.message();
            output::complain(&format!(
                "note: the run could not be stopped, and ends when its lease does: {words}"
            ));
        }
    }
}

/// Starts the run and takes its values, unless somebody wants this to end.
async fn prepare(
    args: &Run,
    lease: &mut Option<Lease>,
    events: &mut Events,
) -> Result<Result<Given, Caught>, Failure> {
    let client = Client::open_in(args.team, &args.server)?;
    let (team, agent_id) = match unless_ended(events, named(&client, args)).await? {
        Ok(named) => named,
        Err(caught) => return Ok(Err(caught)),
    };
    let wanted = wanted(args, agent_id);
    let mut starting = pin!(Lease::start(&client, team, &wanted));
    match unless_ended(events, &mut starting).await? {
        Ok(started) => {
            let lease = lease.insert(started);
            unless_ended(events, given(args, lease)).await
        }
        Err(caught) => {
            // Without the answer nobody has the token that stops the run.
            *lease = timeout(STARTING, starting).await.ok().and_then(Result::ok);
            Ok(Err(caught))
        }
    }
}

/// What the command is given.
struct Given {
    values: Values,
    /// For a brokered run, whose values are placeholders.
    way: Option<Way>,
}

async fn given(args: &Run, lease: &Lease) -> Result<Given, Failure> {
    // First: a server that knows nothing of brokers would answer with the values themselves.
    let way = if args.broker { Some(Way::new(lease.broker()?).await?) } else { None };
    let values = environment::chosen(lease.environment().await?, &args.only, &args.allow_env)?;
    Ok(Given { values, way })
}

/// What comes of this, or the signal that came first.
async fn unless_ended<T>(
    events: &mut Events,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Result<T, Caught>, Failure> {
    tokio::select! {
        done = work => done.map(Ok),
        caught = events.asked_to_end() => Ok(Err(caught)),
    }
}

/// Which team's agent is named.
async fn named(client: &Client, args: &Run) -> Result<(Uuid, Uuid), Failure> {
    let team = client.team().await?;
    Ok((team, agent::find(client, team, &args.agent).await?))
}

fn wanted(args: &Run, agent_id: Uuid) -> Wanted<'_> {
    Wanted {
        agent_id,
        build_id: args.revision,
        mode: if args.broker { "broker" } else { "inject" },
        ttl_seconds: args.ttl,
        strict: args.strict,
        note: args.note.as_deref(),
    }
}

/// Starts the command with these values.
fn start(args: &Run, given: &Given, before: Inherited, teller: &Teller) -> Result<Job, Failure> {
    let words = &args.command.words;
    // A placeholder may be seen.
    let is_masked = !args.no_mask && !args.broker;
    let mut wiring = if is_masked { Wiring::masked()? } else { Wiring::default() };
    let mut command = match wiring.screen {
        Some(_) => session::command(words),
        None => child::command(words),
    };
    child::give(&mut command, &given.values);
    command.envs(given.way.iter().flat_map(Way::variables));
    wiring.connect(&mut command);
    let (ended, copying) = copy(wiring.outputs, &scanner(&given.values), teller)?;
    let post = match wiring.screen {
        Some(mut screen) => {
            screen.take()?;
            Post::Outside(screen)
        }
        None => Post::Beside,
    };
    let child = Child::start(&mut command, before)?;
    Ok(Job { child, post, copying, ended: Some(ended) })
}

/// Looks for the values, and for those of several lines also as a terminal
/// writes them.
#[expect(clippy::disallowed_methods, reason = "values are masked in the command's output")]
fn scanner(values: &Values) -> Scanner {
    let plain = || values.iter().map(|(_, value)| value.expose_secret());
    let on_terminals = plain().filter(|text| text.contains('\n')).map(|text| text.replace('\n', "\r\n"));
    let on_terminals: Vec<_> = on_terminals.map(Zeroizing::new).collect();
    Scanner::new(plain().chain(on_terminals.iter().map(|text| text.as_str())).map(str::as_bytes))
}

/// Copies the command's output from now on, until what is returned is closed
/// and a moment has passed.
fn copy(
    outputs: Vec<(Arc<OwnedFd>, Arc<OwnedFd>)>,
    scanner: &Scanner,
    teller: &Teller,
) -> Result<(OwnedFd, Vec<Copying>), Failure> {
    let (ended, ends) = io::pipe()?;
    let ended: Arc<OwnedFd> = Arc::new(ended.into());
    let start = |(from, to)| {
        let (to_a_terminal, masker) = (isatty(&to), scanner.masker());
        Relay { from, to, to_a_terminal, masker, ended: Arc::clone(&ended) }.start(teller.clone())
    };
    let copying = outputs.into_iter().map(start).collect::<Result<_, _>>()?;
    Ok((ends.into(), copying))
}
