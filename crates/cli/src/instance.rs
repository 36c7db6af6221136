//! Making an instance and opening one: what `init`, `dev`, `serve` and
//! `doctor` share. A creation that fails leaves nothing behind.

use std::path::PathBuf;
use std::sync::Arc;
use strongroom_core::app::{
    App, Created, Custody, Founding as CoreFounding, OpenError, Recovery, World, create_instance,
};
use strongroom_core::{OsRandom, RootKey, Store};
use strongroom_keys::recovery::Identity;

use crate::cli::{Founding, Keeper};
use crate::clock::SystemClock;
use crate::data_dir::{DataDir, Traces};
use crate::database::Site;
use crate::failure::Failure;
use crate::output;
use crate::root_key::{self, Named, Plan};

/// Where a new recovery key goes.
pub(crate) enum Keepsake {
    /// Into a new file.
    File(PathBuf),
    /// To the person at the terminal.
    Terminal,
    /// To nobody: it is forgotten. For trying things out only.
    Nobody,
}

impl Keepsake {
    /// Where the command line wants it, if that is possible.
    pub(crate) fn choose(
        file: Option<&PathBuf>,
        data_dir: &DataDir,
        person: bool,
    ) -> Result<Option<Self>, Failure> {
        let Some(path) = file.cloned() else {
            return Ok(person.then_some(Self::Terminal));
        };
        if data_dir.contains(&path) {
            return Err(Failure::new(
                "the recovery key can't lie in the data directory: whoever copies that would have both",
            )
            .hint(
                "name a file on another disk with --recovery-key-file, and keep it away from this machine",
            ));
        }
        if path.symlink_metadata().is_ok() {
            return Err(Failure::new(format!("{} exists already", path.display()))
                .hint("name a new file with --recovery-key-file"));
        }
        Ok(Some(Self::File(path)))
    }
}

/// An instance that was just made. Unless it is kept, it is removed again.
pub(crate) struct Fresh {
    // In the order in which they are dropped: files go while the store still
    // has its lock, directories when it has let go of them.
    files: Traces,
    /// The instance, open.
    pub(crate) app: App,
    /// Its first ids and key.
    pub(crate) created: Created,
    /// Its recovery key.
    pub(crate) identity: Identity,
    directories: Traces,
}

impl Fresh {
    /// Shows the words with its API key, the only ones there will be. If they
    /// arrive, the instance stays.
    ///
    /// # Errors
    /// When standard output takes no words; then nothing of it is left.
    pub(crate) fn show(self, words: &str) -> Result<App, Failure> {
        output::line(words).map_err(|error| {
            Failure::because("the new API key could not be shown, so nothing was kept", &error)
                .hint("run the command again, with standard output open")
        })?;
        self.files.keep();
        self.directories.keep();
        Ok(self.app)
    }
}

/// A new instance, planned; see [`Blueprint::draw`].
pub(crate) struct Blueprint<'a> {
    founding: &'a Founding,
    site: &'a Site,
    root: Plan,
    keepsake: Keepsake,
}

impl<'a> Blueprint<'a> {
    /// Checks and asks for everything that a new instance needs, before any of
    /// it is made.
    ///
    /// # Errors
    /// When something is in the way.
    pub(crate) async fn draw(
        founding: &'a Founding,
        keeper: &Keeper,
        site: &'a Site,
        keepsake: Keepsake,
    ) -> Result<Self, Failure> {
        site.data_dir.check()?;
        vacant(site).await?;
        let root = Plan::new(founding.kind.root_key, keeper, &site.data_dir)?;
        Ok(Self { founding, site, root, keepsake })
    }

    /// Makes it.
    ///
    /// # Errors
    /// When the system refuses; then nothing of it is left.
    pub(crate) async fn build(self) -> Result<Fresh, Failure> {
        let mut directories = Traces::default();
        let data_dir = &self.site.data_dir;
        directories.make_directory(data_dir.path())?;
        // The database first: its lock keeps a second creation out. It holds no
        // instance before the keys are safe on the disk.
        let store = self.site.create().await?.store();
        let mut files = Traces::default();
        if !self.site.is_shared() {
            data_dir.store_files().into_iter().for_each(|file| files.made(file));
        }
        let root = self.root.create(&mut files).await?;
        if let Some(note) = &root.note {
            output::complain(&format!("note: {note}"));
        }
        let identity = Identity::generate();
        if let Keepsake::File(path) = &self.keepsake {
            identity.write(path)?;
            files.made(path.clone());
        }
        let founding = CoreFounding {
            team: self.founding.team.clone(),
            email: self.founding.owner.email.clone(),
            root: &*root.key,
            root_parameters: root.parameters,
            recovery: identity.recipient(),
        };
        let created = create_instance(Arc::clone(&store), founding, &world()).await?;
        let app = App::open(store, &*root.key, world()).await?;
        Ok(Fresh { files, app, created, identity, directories })
    }
}

/// Opens the instance in a database with the root key that it names.
///
/// # Errors
/// When the database holds none, or the key isn't the right one.
pub(crate) async fn open(store: Arc<dyn Store>, keeper: &Keeper, site: &Site) -> Result<App, Failure> {
    let open = async |root: &dyn RootKey| App::open(Arc::clone(&store), root, world()).await;
    Ok(opened(&*store, keeper, site, open).await?.said().0)
}

/// The same, to be looked at: which root key opened it, and why not its own.
///
/// # Errors
/// As [`open`].
pub(crate) async fn look(
    store: Arc<dyn Store>,
    keeper: &Keeper,
    site: &Site,
) -> Result<Opened<App>, Failure> {
    let open = async |root: &dyn RootKey| App::open(Arc::clone(&store), root, world()).await;
    opened(&*store, keeper, site, open).await
}

/// The same, with its master key, for who replaces keys; and the root key that opened it.
///
/// # Errors
/// As [`open`].
pub(crate) async fn custody(
    store: Arc<dyn Store>,
    keeper: &Keeper,
    site: &Site,
) -> Result<(Custody, Box<dyn RootKey>), Failure> {
    let open = async |root: &dyn RootKey| Custody::open(Arc::clone(&store), root, world()).await;
    Ok(opened(&*store, keeper, site, open).await?.said())
}

/// An instance that was opened.
pub(crate) struct Opened<T> {
    pub(crate) instance: T,
    /// By which root key.
    pub(crate) root: Box<dyn RootKey>,
    /// Why not by its own, if it was one that was added.
    pub(crate) missed: Option<Failure>,
}

impl<T> Opened<T> {
    /// The same, when it was said why its own root key didn't open it.
    fn said(self) -> (T, Box<dyn RootKey>) {
        if let Some(missed) = &self.missed {
            let (missed, provider, id) = (missed.message(), self.root.provider(), self.root.id());
            output::complain(&format!(
                "warning: {missed}; opened with the root key {provider}:{id}, which was added"
            ));
        }
        (self.instance, self.root)
    }
}

/// Opens an instance by its own root key, or else by one that was added.
async fn opened<T>(
    store: &dyn Store,
    keeper: &Keeper,
    site: &Site,
    open: impl AsyncFn(&dyn RootKey) -> Result<T, OpenError>,
) -> Result<Opened<T>, Failure> {
    let Some(stored) = store.instance().await? else { return Err(interrupted(store, site).await?) };
    // Unproven so far: no more than a hint at which key proves it.
    let own = Named::from(stored.row());
    let refused = match by_root(&own, keeper, site, &open).await? {
        Ok((instance, root)) => return Ok(Opened { instance, root, missed: None }),
        Err(refused) => refused,
    };
    let mut added = Vec::new();
    for copy in store.root_copies().await? {
        let named = Named::from(copy.row());
        if let Ok(Ok((instance, root))) = by_root(&named, keeper, site, &open).await {
            return Ok(Opened { instance, root, missed: Some(refused) });
        }
        added.push(named.provider);
    }
    Err(if added.is_empty() {
        refused
    } else {
        refused.or_hint(&format!("say what opens the root key that was added ({})", added.join(", ")))
    })
}

/// Opens it by this root key; the inner failure is that key's alone.
async fn by_root<T>(
    named: &Named,
    keeper: &Keeper,
    site: &Site,
    open: impl AsyncFn(&dyn RootKey) -> Result<T, OpenError>,
) -> Result<Result<(T, Box<dyn RootKey>), Failure>, Failure> {
    let root = match root_key::open(named, keeper, &site.data_dir).await {
        Ok(root) => root,
        Err(failure) => return Ok(Err(failure)),
    };
    match open(&*root).await {
        Ok(opened) => Ok(Ok((opened, root))),
        Err(error @ OpenError::WrongRootKey { .. }) => {
            let remedy = root_key::remedy_for_wrong(&named.provider, keeper, &site.data_dir);
            Ok(Err(Failure::from(error).hint(remedy)))
        }
        Err(error @ OpenError::RootKey(_)) => Ok(Err(Failure::from(error))),
        Err(other) => Err(Failure::from(other)),
    }
}

/// Refuses a place in which there is a database.
async fn vacant(site: &Site) -> Result<(), Failure> {
    if site.is_shared() {
        return if site.is_taken().await? {
            let store = site.inspect().await?.store();
            if store.instance().await?.is_none() {
                return Err(interrupted(&*store, site).await?);
            }
            Err(Failure::new("there is an instance in that database already").hint(format!(
                "serve it with: strongroom serve {}; or make another database",
                site.options()
            )))
        } else {
            Ok(())
        };
    }
    let Ok(metadata) = site.data_dir.database().symlink_metadata() else { return Ok(()) };
    let path = site.data_dir.path().display();
    match site.instance().await {
        Ok(None) => Err(interrupted(&*site.inspect().await?.store(), site).await?),
        Err(_) if metadata.len() == 0 => Err(creation_interrupted(site)),
        Ok(Some(_)) => Err(Failure::new(format!("there is an instance in {path} already"))
            .hint(format!("serve it with: strongroom serve --data-dir {path}; or choose another directory"))),
        Err(_) if metadata.is_symlink() => Err(Failure::new(format!("{path}/strongroom.db is a link"))
            .hint("put the database itself in its place, or choose another directory")),
        Err(failure) => {
            Err(Failure::new(format!("there is a database in {path} already: {}", failure.message()))
                .hint("choose another directory"))
        }
    }
}

/// Why there is a database without an instance. One that is being copied gets its
/// keys first, and becomes an instance last; one that is created gets all at once.
async fn interrupted(store: &dyn Store, site: &Site) -> Result<Failure, Failure> {
    if store.purpose_keys().await?.is_empty() {
        return Ok(creation_interrupted(site));
    }
    Ok(Failure::new("there is no instance, but part of one: a copy or a restore into this database was interrupted").hint(
        "finish it: give the same `strongroom copy` or `strongroom restore` again; it goes on where it stopped, and begins again with --start-over",
    ))
}

fn creation_interrupted(site: &Site) -> Failure {
    if site.is_shared() {
        return Failure::new("the database holds no instance: its creation was interrupted")
            .hint(format!("create it again with: strongroom init {}", site.options()));
    }
    let data_dir = &site.data_dir;
    Failure::new(format!("{} holds no instance: its creation was interrupted", data_dir.database().display()))
        .hint(format!(
            "if it was a restore, or a copy that was interrupted, give that command again; if there never was an instance, delete strongroom.db*, strongroom.lock and root.key in {} and create it again; if there was, restore a backup",
            data_dir.path().display()
        ))
}

/// The real time and chance.
pub(crate) fn world() -> World {
    World { clock: Arc::new(SystemClock), random: Arc::new(OsRandom) }
}

/// The public name of an instance's recovery key.
pub(crate) fn recipient(identity: &Identity) -> String {
    identity.recipient().recipient()
}
