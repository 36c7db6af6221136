//! `strongroom backup`, `restore` and `recovery`: an instance into a file and out of it
//! again. What says from where to where belongs to one invocation, and has no key.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use strongroom_core::audit::note::VerifierKey;

use super::root_key::Keeper;
use super::server::{NewRootKey, Operated, Place};

/// `strongroom backup`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Backup {
    #[command(subcommand)]
    pub(crate) command: Option<BackupCommand>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The file to write; `-` is standard output.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print what is in it as one JSON object, on standard error where the backup goes to standard
    /// output.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
}

/// What else can be done with one.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Check every byte of a backup, and say what is in it and what opens it. Needs no key.
    #[command(after_help = "\
Examples:
  strongroom backup verify /mnt/backups/monday.backup
  strongroom backup verify /mnt/backups/monday.backup --key strongroom.audit/01a22580-0eed-7000-a7e5-ea41e1aa9acb+871516b2+AcD52P34e86xmob86jvmCr2vrdZIQ89Yc/tkBntJY7v7

Without --key it is found whether the file is as it was written; with it, also that this
instance wrote it. Exits with 1 when anything is wrong.")]
    Verify(VerifyBackup),
}

/// `strongroom backup verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyBackup {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The verifier key that it must be signed with, as a backup of this instance names it.
    #[arg(long = "key", value_name = "VKEY")]
    pub(crate) verifier: Option<VerifierKey>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `strongroom restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file of the recovery key.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Put the instance under a root key that is made now, for when the old one is lost or stolen.
    #[arg(long)]
    pub(crate) new_root_key: bool,
    #[command(flatten)]
    pub(crate) kind: NewRootKey,
    /// The verifier key that the backup must be signed with.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Option<VerifierKey>,
    /// Remove what an interrupted restore left, instead of going on behind it.
    #[arg(long)]
    pub(crate) start_over: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
}

/// `strongroom recovery`.
#[derive(Debug, Subcommand)]
pub(crate) enum Recovery {
    /// Prove that a recovery key opens everything in a backup. Writes nothing.
    #[command(after_help = "\
Examples:
  strongroom recovery test --identity /mnt/usb/recovery.key /mnt/backups/monday.backup

Opens every sealed row and checks every MAC, with nothing but the backup and the recovery
key; no value is shown or stored. Exits with 1 when anything doesn't open.")]
    Test(RecoveryTest),
    /// Make a new recovery key, to which the master key and all backups from now on are encrypted.
    #[command(after_help = "\
Example:
  strongroom recovery replace --recovery-key-file /mnt/usb/recovery.key --data-dir /var/lib/strongroom

The server may be running. Backups of before are opened by the recovery key of before: keep it for
as long as you keep them, or make a new backup and delete them.")]
    Replace(Box<RecoveryReplace>),
}

/// `strongroom recovery replace`.
#[derive(Debug, Args)]
pub(crate) struct RecoveryReplace {
    /// Write the recovery key to this new file, outside the data directory [default: show it once,
    /// on a terminal]
    #[arg(long = "recovery-key-file", id = "new_recovery_key_file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) on: Operated,
}

/// `strongroom recovery test`.
#[derive(Debug, Args)]
pub(crate) struct RecoveryTest {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file of the recovery key.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: PathBuf,
    /// The verifier key that the backup must be signed with.
    #[arg(long = "key", value_name = "VKEY")]
    pub(crate) verifier: Option<VerifierKey>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
