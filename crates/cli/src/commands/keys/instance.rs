//! The keys of an instance itself: root, master, and one for each purpose. They are replaced
//! beside running servers, by who has the root key, and each in one transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::app::{Custody, CustodyError};
use strongroom_core::{KeyId, RootKey, Store, StoreError};
use strongroom_keys::recovery::Recipient;
use strongroom_keys::remote::Made;

use super::super::progress;
use super::files::{Left, alone, finish_interrupted, settled, vacant};
use super::status::json_of;
use crate::cli::keys::{AddRoot, NewSource, RemoveRoot, RotatePurpose, RotateRoot};
use crate::cli::{Keeper, Operated, RootKeyKind};
use crate::data_dir::Traces;
use crate::database::Site;
use crate::failure::Failure;
use crate::root_key::{self, Named, Plan};
use crate::{instance, output};

/// How long servers have to come to a new master key: many times as long as they take to look.
const TAKEN_OVER: Duration = Duration::from_secs(15);

/// An instance whose keys are replaced.
struct Held {
    site: Site,
    store: Arc<dyn Store>,
    custody: Custody,
    /// What opened it.
    root: Box<dyn RootKey>,
}

impl Held {
    async fn open(site: Site, keeper: &Keeper) -> Result<Self, Failure> {
        site.data_dir.check()?;
        let store = site.beside().await?.store();
        let (custody, root) = instance::custody(Arc::clone(&store), keeper, &site).await?;
        Ok(Self { site, store, custody, root })
    }
}

/// A new root key, from where the command line says.
async fn made(
    kind: RootKeyKind,
    file: PathBuf,
    (source, keeper): (&NewSource, &Keeper),
    files: &mut Traces,
) -> Result<Made, Failure> {
    let plan = match kind {
        RootKeyKind::File => Plan::File(file),
        RootKeyKind::Passphrase => {
            Plan::Passphrase(root_key::new_passphrase(source.new_passphrase_file.as_ref())?)
        }
        RootKeyKind::AwsKms | RootKeyKind::Pkcs11 | RootKeyKind::Transit => {
            let remote = source.keeper(keeper).remote(kind.provider());
            Plan::elsewhere(remote.ok_or_else(|| Failure::new("there is no such keeper of root keys"))?)?
        }
    };
    let made = plan.create(files).await?;
    if let Some(note) = &made.note {
        output::complain(&format!("note: {note}"));
    }
    Ok(made)
}

pub(super) async fn rotate_root(args: &RotateRoot) -> Result<(), Failure> {
    let site = Site::new(&args.on.place)?;
    let row = site.instance().await?;
    let own = row.as_ref().map(|row| Named::from(row.row()));
    let old = own.as_ref().and_then(|own| RootKeyKind::of_provider(&own.provider));
    let kind = args.kind.or(old).unwrap_or(RootKeyKind::File);
    let place = args.source.new_root_key_file.clone();
    let place = place.unwrap_or_else(|| root_key::key_file(&args.on.keeper, &site.data_dir));
    let staged = root_key::beside(&place, "new");
    let _alone = alone(&place)?;
    let held = Held::open(site, &args.on.keeper).await?;
    let before = held.custody.app().instance_keys().await?;
    let own = before.roots.first().map(|root| root.id);
    if before.roots.iter().skip(1).any(|added| added.provider == kind.provider()) {
        return Err(refused(CustodyError::Conflict(
            "a root key of that kind was added already; remove it first (`strongroom keys remove-root`), or choose another kind",
        )));
    }
    if kind == RootKeyKind::File {
        vacant(&place, &staged, own)?;
    }
    let left = finish_interrupted(&place, &staged, own)?;
    let mut files = Traces::default();
    let made = made(kind, staged.clone(), (&args.source, &args.on.keeper), &mut files).await?;
    let turned = held.custody.rotate_root(&*made.key, made.parameters).await;
    if may_have_turned(&turned) {
        files.keep();
    }
    turned.map_err(refused)?;
    left.map_or(Ok(()), Left::forget)?;
    let id = made.key.id();
    scrubbed(&held.store).await;
    let old = root_key::key_file(&args.on.keeper, &held.site.data_dir);
    let aside = settled(kind, (&place, &staged), (&old, own))?;
    let text = rotated_words(kind, id, &place, aside.as_deref());
    answer(
        args.on.json,
        &serde_json::json!({"root_key": {"provider": kind.provider(), "id": id.to_string()}, "old_file": aside}),
        &text,
    )
}

/// Says what to do where the keys are others than was thought.
pub(in super::super) fn refused(error: CustodyError) -> Failure {
    // It isn't known what became of a change that the store didn't answer.
    let is_otherwise = matches!(error, CustodyError::Conflict(_) | CustodyError::Store(_));
    let failure = Failure::from(error);
    if !is_otherwise {
        return failure;
    }
    failure.hint_if_none("look at the keys with `strongroom keys status --data-dir …`, and try again")
}

/// Whether a new root key may be the one that the instance is under, whatever is heard of it.
pub(in super::super) fn may_have_turned(turned: &Result<(), CustodyError>) -> bool {
    match turned {
        Ok(()) => true,
        Err(CustodyError::Store(error)) => !matches!(error, StoreError::Changed),
        Err(_) => false,
    }
}

fn rotated_words(kind: RootKeyKind, id: KeyId, place: &Path, aside: Option<&Path>) -> String {
    let mut words = format!("The instance is under the root key {}:{id}.\n", kind.provider());
    if kind == RootKeyKind::File {
        words.extend([format!(
            "\nIts file: {}\nCopy it to where you keep the old one, away from backups, and to every host that has it.\n",
            place.display()
        )]);
    }
    if let Some(aside) = aside {
        words.extend([format!(
            "\nThe old one: {}\nCopies and backups of the database from before are under it; delete it when there are none.\n",
            aside.display()
        )]);
    }
    words
}

pub(super) async fn add_root(args: &AddRoot) -> Result<(), Failure> {
    let held = Held::open(Site::new(&args.on.place)?, &args.on.keeper).await?;
    let keys = held.custody.app().instance_keys().await?;
    if keys.roots.first().is_some_and(|own| own.provider == args.kind.provider()) {
        return Err(Failure::new("the instance's own root key is of that kind, and there is one of each")
            .hint("choose another kind, or replace it with `strongroom keys rotate root`"));
    }
    let place = args.source.new_root_key_file.clone();
    let place = place.unwrap_or_else(|| root_key::key_file(&args.on.keeper, &held.site.data_dir));
    let (staged, is_file) = (root_key::beside(&place, "new"), args.kind == RootKeyKind::File);
    let _alone = alone(&place)?;
    let there = keys.roots.iter().skip(1).find(|added| added.provider == args.kind.provider());
    let there = there.map(|added| added.id);
    let mut left = None;
    if is_file {
        vacant(&place, &staged, there)?;
        left = finish_interrupted(&place, &staged, there)?;
    }
    let mut files = Traces::default();
    let made = made(args.kind, staged.clone(), (&args.source, &args.on.keeper), &mut files).await?;
    let turned = held.custody.add_root(&*made.key, made.parameters).await;
    if may_have_turned(&turned) {
        files.keep();
    }
    turned.map_err(refused)?;
    left.map_or(Ok(()), Left::forget)?;
    scrubbed(&held.store).await;
    if is_file {
        settled(args.kind, (&place, &staged), (&place, there))?;
    }
    let (provider, id) = (args.kind.provider(), made.key.id());
    let text = format!("The root key {provider}:{id} opens the instance from now on, too.\n");
    answer(
        args.on.json,
        &serde_json::json!({"root_key": {"provider": provider, "id": id.to_string()}}),
        &text,
    )
}

pub(super) async fn remove_root(args: &RemoveRoot) -> Result<(), Failure> {
    let held = Held::open(Site::new(&args.on.place)?, &args.on.keeper).await?;
    let provider = args.kind.provider();
    held.custody.remove_root(provider).await.map_err(refused)?;
    scrubbed(&held.store).await;
    let text = format!(
        "The root key of the kind {provider} opens the instance no more. Copies and backups of the\ndatabase from before still have it.\n"
    );
    answer(args.on.json, &serde_json::json!({"removed": provider}), &text)
}

pub(super) async fn rotate_master(args: &Operated) -> Result<(), Failure> {
    let Held { site, store, mut custody, root } = Held::open(Site::new(&args.place)?, &args.keeper).await?;
    let instance = store.instance().await?;
    let recipient = custody.app().instance_keys().await?.recipient;
    let recipient = Recipient::parse(&recipient)?;
    let mut roots = Vec::new();
    let own = instance.iter().map(|row| Named::from(row.row()));
    let copies = store.root_copies().await?;
    for named in own.chain(copies.iter().map(|copy| Named::from(copy.row()))) {
        if (named.provider.as_str(), named.id) != (root.provider(), root.id()) {
            roots.push(root_key::open(&named, &args.keeper, &site.data_dir).await?);
        }
    }
    roots.push(root);
    let served = site.may_be_served()?;
    let keys = store.keys().await?.len();
    let bar = progress("wrapping keys", u64::try_from(keys).unwrap_or(u64::MAX));
    let turned = custody.rotate_master(&roots, &recipient, served, |keys| bar.inc(keys)).await;
    bar.finish_and_clear();
    let id = turned.map_err(refused)?;
    if served {
        taken_over(&store).await?;
    }
    scrubbed(&store).await;
    let text = format!("The instance has a new master key, {id}; {keys} keys are wrapped by it.\n");
    answer(args.json, &serde_json::json!({"master_key": id.to_string(), "keys": keys}), &text)
}

/// Takes what was replaced out of the database's files. Where a server has them open it does
/// that within seconds, whatever comes of this.
async fn scrubbed(store: &Arc<dyn Store>) {
    let _done = store.scrub().await;
}

/// Waits until servers have the new master key, and closes the way by which they came to it.
/// If this is interrupted, a server closes it a minute later.
async fn taken_over(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let steps = TAKEN_OVER.as_secs();
    let bar = progress("servers take it over", steps);
    for _ in 0..steps {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bar.inc(1);
    }
    bar.finish_and_clear();
    store.close_ways(instance::world().clock.now()).await?;
    Ok(())
}

pub(super) async fn rotate_purpose(args: &RotatePurpose) -> Result<(), Failure> {
    let held = Held::open(Site::new(&args.on.place)?, &args.on.keeper).await?;
    let key = held.custody.rotate_purpose(args.purpose).await.map_err(refused)?;
    let name = args.purpose.name();
    let text = format!(
        "The instance has a new key for {name}, version {}:\n\n  {}\n\nIt is in use in a minute. What the older one made stays good.\n",
        key.version, key.id
    );
    answer(args.on.json, &json_of(&key), &text)
}

fn answer(json: bool, object: &serde_json::Value, text: &str) -> Result<(), Failure> {
    Ok(output::answer(&if json { object.to_string() } else { text.trim_end().to_owned() })?)
}
