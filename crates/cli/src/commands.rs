//! One file for each command.

mod completions;
mod dev;
mod doctor;
mod init;
mod openapi;
mod serve;

use std::process::ExitCode;

use crate::cli::Command;
use crate::failure::Failure;
use crate::reference;

/// Does what the command line says.
pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Dev(args) => dev::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Doctor(args) => match doctor::run(&args) {
            Ok(healthy) => return if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE },
            Err(failure) => Err(failure),
        },
        Command::Completions { shell } => completions::run(shell),
        Command::Openapi => openapi::run(),
        Command::Reference { folder } => reference::write(&folder),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs a short job to its end on this thread.
fn block_on<T>(job: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(job)
}
