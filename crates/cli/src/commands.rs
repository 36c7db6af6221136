//! One file for each command.

mod agents;
mod audit;
mod backup;
mod completions;
mod confirm;
mod copy;
mod counted;
mod dev;
mod doctor;
mod fill_requests;
mod init;
mod keys;
mod login;
mod logout;
mod members;
mod openapi;
mod panic;
mod profile;
mod recovery;
mod report;
mod restore;
mod revision_secrets;
mod revisions;
mod run;
mod runs;
mod secrets;
mod serve;
mod setup_link;
mod teams;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::process::ExitCode;

use crate::cli::Command;
use crate::cli::client::Write;
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::harden::Inherited;
use crate::output;
use crate::reference;

/// Does what the command line says.
pub(crate) fn run(command: Command, inherited: Inherited) -> ExitCode {
    let done = match command {
        Command::Dev(args) => dev::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Doctor(args) => return found(doctor::run(&args)),
        Command::Audit(command) => return found(block_on(audit::run(&command))),
        Command::SetUpLink(args) => setup_link::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Recovery(command) => recovery::run(&command),
        Command::Run(args) => return ended(run::run(&args, inherited)),
        Command::RunSession(command) => return ended(run::lead_session(&command.words, inherited)),
        Command::RunJob(command) => Err(run::become_job(&command.words, inherited)),
        Command::Secrets(command) => block_on(secrets::run(&command)),
        Command::Agents(command) => block_on(agents::run(&command)),
        Command::Revisions(command) => block_on(revisions::run(&command)),
        Command::RevisionSecrets(command) => block_on(revision_secrets::run(&command)),
        Command::FillRequests(command) => block_on(fill_requests::run(&command)),
        Command::Runs(command) => block_on(runs::run(&command)),
        Command::Panic(args) => block_on(panic::run(&args)),
        Command::Keys(command) => block_on(keys::run(&command)),
        Command::Members(command) => block_on(members::run(&command)),
        Command::Teams(command) => block_on(teams::run(&command)),
        Command::Profile(args) => block_on(profile::run(&args)),
        Command::Login(args) => block_on(login::run(&args)),
        Command::Logout(args) => logout::run(&args),
        Command::Completions { shell } => completions::run(shell),
        Command::Openapi => openapi::run(),
        Command::Reference { folder } => reference::write(&folder),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The exit code of a command that has one of its own.
fn ended(done: Result<ExitCode, Failure>) -> ExitCode {
    done.unwrap_or_else(|failure| failure.report())
}

/// The exit code of a command that finds that all is well, or that it isn't.
fn found(all_is_well: Result<bool, Failure>) -> ExitCode {
    ended(all_is_well.map(|well| if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// Runs a short job to its end on this thread.
fn block_on<T>(job: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(job)
}

/// How far something has come of so many steps. Drawn on a terminal only.
pub(crate) fn progress(doing: &str, steps: u64) -> ProgressBar {
    bar(doing, steps, "{pos}/{len}")
}

/// How far something has come, and out of how much. Drawn on a terminal only.
fn bar(doing: &str, length: u64, done: &str) -> ProgressBar {
    if !output::errors_seen_by_a_person() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(&format!("{doing} {{bar:30}} {done} ({{eta}} left)")) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Makes a change, or tries it, and says which of the two it was.
async fn change(client: &Client, request: Request, write: &Write) -> Result<Answer, Failure> {
    let answer = client.send(request.write(write)).await?;
    if write.dry_run {
        output::complain("note: a dry run; nothing was changed");
    }
    Ok(answer)
}

/// Shows the elements of an answer: as the server wrote them to a program, in a
/// table to a person, who is told when there are none.
fn show_list<T>(
    client: &Client,
    answer: &Answer,
    elements: impl FnOnce(&Answer) -> Result<Vec<T>, Failure>,
    none: &str,
    table: impl FnOnce(&[T]) -> String,
) -> Result<(), Failure> {
    if client.json() {
        return Ok(output::whole(answer.raw()?)?);
    }
    let elements = elements(answer)?;
    if elements.is_empty() {
        output::complain(none);
        return Ok(());
    }
    Ok(output::whole(&table(&elements))?)
}

/// Shows the answer to a change that has nothing to show: the server's to a
/// program, our words to a person, unless it was only tried.
fn acknowledge(client: &Client, answer: &Answer, write: &Write, done: &str) -> Result<(), Failure> {
    // Whoever else answered in the server's place has done nothing.
    let text = answer.raw()?;
    if client.json() {
        return Ok(output::whole(text)?);
    }
    if !write.dry_run {
        output::complain(done);
    }
    Ok(())
}
