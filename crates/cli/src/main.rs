//! The `strongroom` binary: reads the command line and the configuration,
//! wires the other crates together, and speaks to the person at the terminal.
//! It decides nothing about who may do what.

mod backups;
mod brokering;
mod checkpoints;
mod cli;
mod client;
mod clock;
mod commands;
mod config;
mod data_dir;
mod database;
mod environment;
mod failure;
mod harden;
mod housekeeping;
mod instance;
mod logs;
mod output;
mod paragraph;
mod partial;
mod printable;
mod profiles;
mod public_url;
mod reference;
mod root_key;
mod sealing;
mod sinks;
mod table;
mod tls;
mod token_input;
mod values;

use std::alloc::System;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Wipes every block that is freed, so that no value outlives its use.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let inherited = match harden::process() {
        Ok(inherited) => inherited,
        Err(failure) => return failure.report(),
    };
    match config::read(std::env::args_os().collect()) {
        Ok(cli) => commands::run(cli.command, inherited),
        Err(config::Refused::Usage(error)) => usage(&error),
        Err(config::Refused::File(failure)) => failure.report(),
    }
}

/// Tells how the command is used: as asked for, or because it was used wrongly.
fn usage(error: &clap::Error) -> ExitCode {
    if let Err(unwritten) = error.print()
        && !error.use_stderr()
        && unwritten.kind() != std::io::ErrorKind::BrokenPipe
    {
        return failure::Failure::from(unwritten).report();
    }
    if error.use_stderr() { ExitCode::from(failure::Exit::Usage.code()) } else { ExitCode::SUCCESS }
}
