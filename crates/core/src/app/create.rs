//! Creating an instance: every key of the hierarchy, the first team, its
//! owner, and the owner's first API key, in one transaction.

use std::sync::Arc;
use zeroize::Zeroizing;

use super::World;
use crate::api_keys::ApiKey;
use crate::events::{Actor, Event, EventKind, Object, Place};
use crate::grants::{Grant, Scopes};
use crate::ids::{ApiKeyId, InstanceId, KeyId, TeamId, UserId};
use crate::instance::{Instance, NewInstance};
use crate::keyring::{KeyOwner, Keyring, MasterKey, Purpose, WrappedKey};
use crate::mint::Mint;
use crate::random;
use crate::roles::Role;
use crate::root_key::{RootKey, RootKeyError};
use crate::sealing::IntegrityViolation;
use crate::store::{Store, StoreError};
use crate::teams::Team;
use crate::text::{Email, Invalid, KeyName, TeamName, UserName};
use crate::tokens::{Token, TokenKind};
use crate::users::{Membership, User};

/// To whom the master key is also encrypted, for when the root key is lost.
pub trait Recovery: Send + Sync {
    /// The public name of that key.
    fn recipient(&self) -> String;

    /// Encrypts the master key to it.
    ///
    /// # Errors
    /// When the encryption fails.
    fn encrypt(&self, master: &[u8]) -> Result<Vec<u8>, RecoveryError>;
}

/// The recovery key could not be used.
#[derive(Debug, thiserror::Error)]
#[error("encrypting to the recovery recipient failed: {0}")]
pub struct RecoveryError(pub String);

/// Who founds an instance, and under which root key.
pub struct Founding<'a> {
    /// The first team.
    pub team: TeamName,
    /// Its owner's address.
    pub email: Email,
    /// Wraps the master key.
    pub root: &'a dyn RootKey,
    /// What the root key's keeper must be told at each start; not secret.
    pub root_parameters: String,
    /// Gets a copy of the master key.
    pub recovery: &'a dyn Recovery,
}

/// What came to be.
pub struct Created {
    /// The first team.
    pub team_id: TeamId,
    /// Its owner.
    pub user_id: UserId,
    /// The owner's key, to be shown once.
    pub api_key: Token,
}

/// Why no instance came to be. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The root key could not wrap.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The recovery key could not encrypt.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key that was just wrapped doesn't open.
    #[error(transparent)]
    Integrity(#[from] IntegrityViolation),
    /// A name derived from the given ones is out of bounds.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Creates an instance in an empty store.
///
/// # Errors
/// [`StoreError::Exists`] when the store holds one; nothing is stored on any error.
pub async fn create_instance(
    store: Arc<dyn Store>,
    founding: Founding<'_>,
    world: &World,
) -> Result<Created, CreateError> {
    let mint = Mint::default();
    let uuid = || mint.uuid(world.clock.now(), &*world.random);
    let (instance, master) = new_master(&founding, InstanceId::from_uuid(uuid()), world).await?;
    let team_id = TeamId::from_uuid(uuid());
    let owners = Purpose::ALL.map(KeyOwner::Purpose).into_iter().chain([KeyOwner::Team(team_id)]);
    let keys: Vec<WrappedKey> = owners
        .map(|owner| master.new_key(KeyId::from_uuid(uuid()), owner, instance.created_at, &*world.random))
        .collect();
    let keyring = Keyring::new(master, &keys, instance.created_at)?;
    let ids = (team_id, UserId::from_uuid(uuid()), ApiKeyId::from_uuid(uuid()));
    let api_key = Token::mint(TokenKind::ApiKey, ids.2.uuid(), &*world.random);
    let new = first_rows(founding, ids, &keyring, &api_key, (instance, keys))?;
    store.create_instance(new).await?;
    Ok(Created { team_id, user_id: ids.1, api_key })
}

async fn new_master(
    founding: &Founding<'_>,
    id: InstanceId,
    world: &World,
) -> Result<(Instance, MasterKey), CreateError> {
    let bytes = Zeroizing::new(random::bytes::<32>(&*world.random).to_vec());
    let instance = Instance {
        id,
        root_provider: founding.root.provider().to_owned(),
        root_parameters: founding.root_parameters.clone(),
        root_key_id: founding.root.id(),
        recovery_recipient: founding.recovery.recipient(),
        recovery: founding.recovery.encrypt(&bytes)?,
        master: founding.root.wrap(id, bytes.clone(), &*world.random).await?,
        created_at: world.clock.now(),
    };
    let master = MasterKey::first(id, &bytes)?;
    Ok((instance, master))
}

fn first_rows(
    founding: Founding<'_>,
    (team_id, user_id, key_id): (TeamId, UserId, ApiKeyId),
    keyring: &Keyring,
    token: &Token,
    (instance, keys): (Instance, Vec<WrappedKey>),
) -> Result<NewInstance, Invalid> {
    let created_at = instance.created_at;
    let owner = User {
        id: user_id,
        name: UserName::parse(founding.email.as_str().split('@').next().unwrap_or("owner"))?,
        email: Some(founding.email),
        created_at,
        disabled_at: None,
        service_of: None,
    };
    let api_key = ApiKey {
        id: key_id,
        team_id,
        user_id,
        name: KeyName::parse("first key")?,
        grant: Grant {
            role: Role::Owner,
            scopes: Scopes::all(),
            agents: None,
            networks: None,
            expires_at: None,
        },
        token_hash: keyring.hash(token),
        created_by: None,
        created_at,
        revoked_at: None,
    };
    let event = Event {
        at: created_at,
        kind: EventKind::InstanceCreated,
        team_id: Some(team_id),
        actor: Actor { user_id: Some(user_id), key_id: Some(key_id), ..Actor::default() },
        place: Place::default(),
        object: Object::of::<Instance>(Some(instance.id.uuid())),
        request_id: None,
        refusal: None,
        requested: None,
    };
    Ok(NewInstance {
        instance: keyring.authenticate(instance),
        keys,
        team: keyring.authenticate(Team {
            id: team_id,
            name: founding.team,
            created_at,
            deleted_at: None,
            shredded_at: None,
            fills_by_link_since: None,
        }),
        owner: keyring.authenticate(owner),
        membership: keyring.authenticate(Membership {
            team_id,
            user_id,
            role: Role::Owner,
            created_at,
            removed_at: None,
            sign_in: None,
        }),
        api_key: keyring.authenticate(api_key),
        event,
    })
}
