//! `strongroom secrets`: secrets of a server. Values go in; what comes back are
//! their names.

mod history;
pub(super) mod list;
mod pages;
mod policy;
mod twins;
pub(super) mod view;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use strongroom_core::EnvKey;

use super::confirm::confirm_about;
use super::{acknowledge, change, runs};
use crate::cli::secrets::{Create, Delete, One, Secrets, Update};
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::values::Values;
use view::{Secret, show};

pub(super) async fn run(command: &Secrets) -> Result<(), Failure> {
    match command {
        Secrets::List(args) => list::run(args).await,
        Secrets::Get(args) => get(args).await,
        Secrets::Create(args) => create(args).await,
        Secrets::Update(args) => update(args).await,
        Secrets::Delete(args) => delete(args).await,
        Secrets::Versions(args) => history::versions(args).await,
        Secrets::Rollback(args) => history::rollback(args).await,
        Secrets::Undelete(args) => history::undelete(args).await,
        Secrets::Copy(args) => twins::copy(args).await,
        Secrets::Compare(args) => twins::compare(args).await,
        Secrets::Runs(args) => runs::of_secret(args).await,
        Secrets::Policy(args) => policy::policy(args).await,
        Secrets::SetPolicy(args) => policy::set_policy(args).await,
    }
}

/// The path of one secret.
pub(super) fn path(id: &uuid::Uuid) -> String {
    format!("/v2/credentials/{id}")
}

async fn get(args: &One) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    show(&client, &client.send(Request::get(path(&args.id))).await?)
}

/// What creates a secret.
#[derive(Serialize)]
struct New<'a> {
    name: &'a str,
    values: Values,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_slug: Option<&'a str>,
    shared: bool,
}

async fn create(args: &Create) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let values = Values::gather(&args.value, args.from_env_file.as_deref())?;
    let new =
        New { name: &args.name, values, service_slug: args.service_slug.as_deref(), shared: args.shared };
    let request = Request::post(client.in_team("credentials").await?).body(&new)?;
    show(&client, &change(&client, request, &args.write).await?)
}

/// Which service it is for from now on; none is `null`.
#[derive(Serialize)]
#[serde(untagged)]
enum Slug<'a> {
    Named(&'a str),
    Cleared,
}

/// What changes a secret: only what is there.
#[derive(Serialize)]
struct Changed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_slug: Option<Slug<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Values>,
    #[serde(skip_serializing_if = "Renamed::is_empty")]
    rename_keys: Renamed,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    add_values: Option<Values>,
}

impl<'a> Changed<'a> {
    fn new(args: &'a Update) -> Result<Self, Failure> {
        let rename_keys = Renamed::parse(&args.rename)?;
        let remove_keys = args.remove.iter().map(|key| Ok(name(key, "--remove")?.to_string()));
        let remove_keys = remove_keys.collect::<Result<_, Failure>>()?;
        let given = Values::gather(&args.set, args.from_env_file.as_deref())?;
        let given = (!given.is_empty()).then_some(given);
        let (values, add_values) = if args.replace { (given, None) } else { (None, given) };
        let service = &args.service;
        let cleared = service.clear_service_slug.then_some(Slug::Cleared);
        let changed = Self {
            name: args.name.as_deref(),
            service_slug: service.service_slug.as_deref().map(Slug::Named).or(cleared),
            shared: (args.sharing.shared || args.sharing.personal).then_some(args.sharing.shared),
            values,
            rename_keys,
            remove_keys,
            add_values,
        };
        changed.checked(args.replace)
    }

    fn checked(self, replace: bool) -> Result<Self, Failure> {
        if replace && self.values.is_none() {
            return Err(Failure::new("--replace needs the values that are to be there afterwards")
                .hint("give them with --set or --from-env-file"));
        }
        let about_values = self.values.is_some() || self.add_values.is_some();
        let about_names = !self.rename_keys.is_empty() || !self.remove_keys.is_empty();
        let about_it = self.name.is_some() || self.service_slug.is_some() || self.shared.is_some();
        if about_values || about_names || about_it {
            Ok(self)
        } else {
            Err(Failure::new("there is nothing to change")
                .hint("strongroom secrets update --help lists what can be"))
        }
    }
}

/// Old names and what they become, in order.
struct Renamed(Vec<(EnvKey, EnvKey)>);

impl Renamed {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let pair = |text: &String| {
            let (old, new) = text.split_once('=').ok_or_else(|| Failure::new("--rename takes OLD=NEW"))?;
            Ok((name(old, "--rename")?, name(new, "--rename")?))
        };
        let pairs = arguments.iter().map(pair).collect::<Result<Vec<_>, Failure>>()?;
        let mut seen = std::collections::HashSet::new();
        match pairs.iter().find(|(old, _)| !seen.insert(old.as_str())) {
            Some((old, _)) => Err(Failure::new(format!("--rename gives {old} two names"))),
            None => Ok(Self(pairs)),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Renamed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (old, new) in &self.0 {
            map.serialize_entry(old.as_str(), new.as_str())?;
        }
        map.end()
    }
}

/// The name of a value; a wrong one isn't quoted, as it may be a value.
fn name(text: &str, option: &str) -> Result<EnvKey, Failure> {
    EnvKey::parse(text).map_err(|invalid| Failure::new(format!("{option}: a name {invalid}")))
}

async fn update(args: &Update) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let changed = Changed::new(args)?;
    let request = Request::patch(path(&args.id)).body(&changed)?;
    let request = request.if_match(args.if_match.as_ref());
    show(&client, &change(&client, request, &args.write).await?)
}

async fn delete(args: &Delete) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question = |secret: Secret| format!("Delete {}?", secret.title());
    confirm_about(&client, path(&args.id), &args.confirmed, question).await?;
    let request = Request::delete(path(&args.id)).if_match(args.if_match.as_ref());
    let answer = change(&client, request, &args.confirmed.write).await?;
    let done =
        format!("Deleted the secret {0}. To bring it back:\n  strongroom secrets undelete {0}", args.id);
    acknowledge(&client, &answer, &args.confirmed.write, &done)
}
