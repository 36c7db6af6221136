//! `strongroom fill-requests …`.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::client::{Common, Write, id};

/// What to do with requests that a person fill in a secret.
#[derive(Debug, Subcommand)]
pub(crate) enum FillRequests {
    /// Ask for a secret, and print the link by which a person fills it in: it is shown only now.
    #[command(after_help = "\
Examples:
  strongroom fill-requests create --name Stripe --value STRIPE_API_KEY
  strongroom fill-requests create --name Mail --value SMTP_USER --value SMTP_PASSWORD --note nightly

Standard output gets the link and nothing else. Whoever fills it in signs in, and needs
the role manager unless they are you. You learn that it was done, and no value.")]
    Create(Create),
    /// List those that can still be filled in: yours, or with the role manager all of the team.
    List(Listing),
    /// Show what came of one.
    Get(One),
    /// Withdraw one; its link is refused from then on.
    Cancel(Cancel),
}

/// `fill-requests create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What the secret is to be called.
    #[arg(long)]
    pub(crate) name: String,
    /// What a value is to be called, once for each: the name of a variable, without a value.
    #[arg(long, value_name = "KEY", required = true)]
    pub(crate) value: Vec<String>,
    /// Which service it is for, such as stripe.
    #[arg(long, value_name = "SLUG")]
    pub(crate) service_slug: Option<String>,
    /// What for: whoever opens the link reads it beside your name.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Seconds for which it can be filled in [default: a day]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=604_800))]
    pub(crate) expires_in: Option<u32>,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `fill-requests list`.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `fill-requests get`.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The request's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `fill-requests cancel`.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The request's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}
