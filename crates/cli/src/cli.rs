//! The command line: every command, and every knob with its flag, variable,
//! key, default and words, said once. The configuration file, the help and the
//! reference pages come from here.

pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod backups;
mod broker;
pub(crate) mod client;
pub(crate) mod fill_requests;
pub(crate) mod keys;
pub(crate) mod people;
mod root_key;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod secrets;
mod server;

pub(crate) use broker::Brokering;
pub(crate) use root_key::{Keeper, RootKeyKind};
pub(crate) use server::{
    Address, Configuration, Copy, Dev, Doctor, Elsewhere, Founding, Init, Listening, Operated, Place, Rules,
    Serve, SetUpLink, Sinks,
};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// A self-hosted secrets service for AI agents: a value goes in once and comes
/// out only inside a run.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Start here:
  strongroom dev                                   try it on this machine
  strongroom init --data-dir /var/lib/strongroom   make an instance to keep
  strongroom serve --data-dir /var/lib/strongroom  serve it

  strongroom login --url https://strongroom.example
  strongroom secrets list                          use one that is served
  strongroom run --agent mailer -- ./mailer        run a command with an agent's secrets

What opens an instance takes every option also from a variable (STRONGROOM_…) or
from strongroom.toml; the command line wins over a variable, a variable over the
file. What speaks to a server reads STRONGROOM_URL, STRONGROOM_API_KEY and
STRONGROOM_PROFILE, and the profile that a login stored.

Exit codes: 0 done, 1 failed, 2 not authenticated, 3 not found,
64 the command line was wrong; `run` exits as its command does.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try Strongroom on this machine: makes an instance on first use, then serves it.
    #[command(after_help = "\
Examples:
  strongroom dev
  strongroom dev --data-dir /tmp/try --listen 127.0.0.1:9000

The first start shows an API key, once, and a curl command that uses it. To start
over, stop the server and delete the data directory.")]
    Dev(Dev),
    /// Make a new instance: its keys, a team, the team's owner and an API key.
    #[command(after_help = "\
Examples:
  strongroom init --data-dir /var/lib/strongroom --email ada@example.com
  strongroom init --data-dir /var/lib/strongroom --recovery-key-file /mnt/usb/recovery.key --json
  strongroom init --data-dir /var/lib/strongroom --root-key passphrase

Keep the recovery key away from this machine: with a backup it opens everything, also
when the root key is lost.")]
    Init(Init),
    /// Serve an instance until SIGTERM or SIGINT.
    #[command(after_help = "\
Examples:
  strongroom serve --data-dir /var/lib/strongroom
  strongroom serve --data-dir /var/lib/strongroom --listen 127.0.0.1:0
  strongroom serve --listen 0.0.0.0:8700 --tls-cert fullchain.pem --tls-key privkey.pem
  strongroom serve --config /etc/strongroom.toml --log-format json

Standard output gets one line, `listening on http://HOST:PORT` or `https://…`, once
connections are taken; logs go to standard error. With TLS, SIGHUP has it read the
certificate again.")]
    Serve(Serve),
    /// Check an instance: permissions, the database, and that every sealed row opens.
    #[command(after_help = "\
Examples:
  strongroom doctor --data-dir /var/lib/strongroom
  strongroom doctor --data-dir /var/lib/strongroom --json

Changes nothing, and works beside a running server. Exits with 1 when a check fails.")]
    Doctor(Doctor),
    /// Make a link by which somebody sets up how they sign in to the dashboard.
    #[command(after_help = "\
Examples:
  strongroom setup-link --data-dir /var/lib/strongroom
  strongroom setup-link --data-dir /var/lib/strongroom --email ada@example.com

For the owner of a new instance, and for whoever lost their password or their app.
Changes nothing, and works beside a running server. The link works once, within a day.
Send it to nobody else: whoever opens it is taken for them, in all of their teams.")]
    #[command(name = "setup-link")]
    SetUpLink(SetUpLink),
    /// Copy an instance to another database, to PostgreSQL or back, as it is.
    #[command(after_help = "\
Examples:
  strongroom copy --from sqlite:/var/lib/strongroom --to postgres://strongroom@db.example.com/strongroom
  strongroom copy --from postgres://strongroom@db.example.com/strongroom --to sqlite:/var/lib/strongroom-back

Stop the instance's servers first. Every row is copied as it is, sealed, so the root key
stays the same and isn't needed here. The instance is left alone, and can be served
again. A copy that was interrupted goes on where it stopped; nobody can serve it before
it was compared, row by row, and found equal.")]
    Copy(Copy),
    /// Back up an instance into one file, beside its running servers.
    #[command(after_help = "\
Examples:
  strongroom backup --data-dir /var/lib/strongroom --out /mnt/backups/monday.backup
  strongroom backup --data-dir /var/lib/strongroom --out - | ssh vault 'cat > monday.backup'
  strongroom backup verify /mnt/backups/monday.backup

One file from one moment: everything that was acknowledged before is in it. It is
encrypted to the recovery key, which alone opens it; every byte can be checked without a
key. The root key is not in it, and is needed to make it, which opens no value.")]
    Backup(Box<backups::Backup>),
    /// Restore a backup into an empty place, into a directory or PostgreSQL.
    #[command(after_help = "\
Examples:
  strongroom restore monday.backup --identity recovery.key --data-dir /var/lib/strongroom
  strongroom restore monday.backup --identity recovery.key --new-root-key --data-dir /var/lib/strongroom

Checks the whole backup before anything is written. A restore that was interrupted goes
on where it stopped; nobody can serve it before it was compared, row by row. The root
key stays the same and isn't needed here: put its file in its place afterwards. Where it
is lost, --new-root-key makes another.")]
    Restore(Box<backups::Restore>),
    /// Try whether a recovery key opens everything in a backup.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom recovery test --identity /mnt/usb/recovery.key /mnt/backups/monday.backup"
    )]
    Recovery(backups::Recovery),
    /// Run a command with an agent's secrets in its environment.
    #[command(after_help = "\
Examples:
  strongroom run --agent mailer -- ./mailer
  strongroom run --agent ID --only SMTP_USER SMTP_PASSWORD -- sh -c 'swaks -au \"$SMTP_USER\"'
  strongroom run --agent ID --ttl 10m --note nightly -- make report
  strongroom run --agent helper --broker -- python3 agent.py

The values are in the command's environment and nowhere else. They are masked in
what it writes, which guards against accidents, not against the command. With
--broker it has placeholders, and the values are put into its requests. It exits
with the command's exit code, or 128 and the number of the signal that ended it;
with 1 where that is 0 and the command's output could not be written.")]
    Run(Box<run::Run>),
    /// Leads the session that `run` makes for a command on a terminal of its own.
    #[command(hide = true)]
    RunSession(run::Words),
    /// Becomes the command of such a session, once it has the terminal.
    #[command(hide = true)]
    RunJob(run::Words),
    /// List, create, change, delete and compare secrets.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom secrets list
  strongroom secrets create --name Mail --value SMTP_PASSWORD"
    )]
    Secrets(secrets::Secrets),
    /// Create, list, show, rename and delete agents.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom agents list
  strongroom agents create --name Triage"
    )]
    Agents(agents::Agents),
    /// Create, list and show an agent's revisions, make one live, and see what its runs would get.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom revisions create --agent ID --name v2
  strongroom revisions promote ID"
    )]
    Revisions(agents::Revisions),
    /// List, attach and detach the secrets of a revision.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom revision-secrets list --agent ID --revision ID
  strongroom revision-secrets attach --agent ID --revision ID --secret ID"
    )]
    RevisionSecrets(agents::RevisionSecrets),
    /// Ask a person for a secret by a link, and see what came of it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom fill-requests create --name Stripe --value STRIPE_API_KEY
  strongroom fill-requests get ID"
    )]
    FillRequests(fill_requests::FillRequests),
    /// List, show and stop runs, and see what they received.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom runs list --agent ID
  strongroom runs deliveries ID"
    )]
    Runs(runs::Runs),
    /// Revoke at once what is no longer trusted, and list the values to rotate.
    #[command(after_help = "\
Examples:
  strongroom panic --key ID
  strongroom panic --agent ID --yes > to-rotate.md
  strongroom panic --user ID --dry-run

What a run received it may have kept: revoking it takes no value back. Standard
output gets what was revoked, and a list to work through; repeating the command
gives the list again.")]
    Panic(runs::Panic),
    /// Show what happened, take it away as a file that proves itself, and prove it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom audit list --since 2026-11-07
  strongroom audit export --out audit.jsonl
  strongroom audit verify audit.jsonl --key strongroom.keys
  strongroom audit verify --data-dir /var/lib/strongroom --state"
    )]
    Audit(audit::Audit),
    /// Create, list and revoke API keys, and links that give one.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom keys list
  strongroom keys create --name laptop"
    )]
    Keys(keys::Keys),
    /// List, add and remove the members of a team, and change their roles.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom members list
  strongroom members add --email ada@example.com --name Ada --role builder"
    )]
    Members(people::Members),
    /// Show, create, rename and delete teams.
    #[command(
        subcommand,
        after_help = "\
Examples:
  strongroom teams show
  strongroom teams create --name Rockets"
    )]
    Teams(people::Teams),
    /// Show who you are to the server.
    #[command(after_help = "\
Example:
  strongroom profile")]
    Profile(people::Profile),
    /// Store a server's URL and an API key for it as a profile, once the server has taken the key.
    #[command(after_help = "\
Examples:
  strongroom login --url https://strongroom.example
  strongroom login --url https://strongroom.example --api-key-stdin < key
  strongroom login --url https://strongroom.example --link-stdin < link

Profiles are kept in strongroom/profiles.toml in $XDG_CONFIG_HOME or ~/.config,
closed to others; one of the same name is replaced. An API key is never given on
the command line.")]
    Login(people::Login),
    /// Forget a profile. The key itself goes on working until it is revoked.
    #[command(after_help = "\
Examples:
  strongroom logout
  strongroom logout --profile work")]
    Logout(people::Logout),
    /// Print completions for a shell.
    #[command(after_help = "\
Examples:
  strongroom completions bash > /etc/bash_completion.d/strongroom
  strongroom completions zsh > ~/.zfunc/_strongroom
  strongroom completions fish > ~/.config/fish/completions/strongroom.fish")]
    Completions {
        /// For which shell.
        shell: Shell,
    },
    /// Print the description of the HTTP API.
    #[command(after_help = "\
Example:
  strongroom openapi > openapi.json

One JSON document, OpenAPI 3.1: the same that a server has at /openapi.json.")]
    Openapi,
    /// Write the reference pages of the command line and the configuration.
    #[command(hide = true)]
    Reference {
        /// Where `cli.md` and `configuration.md` go.
        folder: PathBuf,
    },
}
