//! `strongroom runs …` and `strongroom panic`.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::client::{Common, Confirmed, id};

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// List runs, newest first.
    List(ListRuns),
    /// Show a run.
    Get(OneRun),
    /// Stop a run: its token is refused from then on. What the run has, it keeps.
    Stop(StopRun),
    /// List which versions of which secrets a run received, never the values.
    Deliveries(OneRun),
    /// List what a run asked for through the broker, newest first: where, never what was said.
    Requests(RunRequests),
}

/// `runs requests`.
#[derive(Debug, Args)]
pub(crate) struct RunRequests {
    /// The run's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// At most so many, up to 200.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub(crate) limit: u8,
    /// Go on where a list ended: its `next`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) cursor: Option<i64>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `runs list`.
#[derive(Debug, Args)]
pub(crate) struct ListRuns {
    /// Only runs of this agent.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) agent: Option<Uuid>,
    /// At most so many, up to 200.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub(crate) limit: u8,
    /// Leave out so many first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `runs get`, `runs deliveries`.
#[derive(Debug, Args)]
pub(crate) struct OneRun {
    /// The run's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `runs stop`.
#[derive(Debug, Args)]
pub(crate) struct StopRun {
    /// The run's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `strongroom panic`.
#[derive(Debug, Args)]
pub(crate) struct Panic {
    #[command(flatten)]
    pub(crate) suspect: Suspect,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What is no longer trusted.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Suspect {
    /// Revoke this run.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) run: Option<Uuid>,
    /// Revoke every run of this agent.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) agent: Option<Uuid>,
    /// Revoke this API key, and every run that was started with it.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) key: Option<Uuid>,
    /// Revoke every API key, link and run of this member.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) user: Option<Uuid>,
}
