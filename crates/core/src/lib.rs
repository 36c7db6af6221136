//! What Strongroom is, without the outside world: types, sealing, the key
//! hierarchy, access rules and the verbs ([`App`]).
//!
//! Nothing here opens a socket or a file, speaks SQL or HTTP, or reads the
//! environment or the wall clock: time and chance come in as parameters.

pub mod access;
pub mod agents;
pub mod answers;
pub mod api_keys;
pub mod app;
pub mod audit;
pub mod authority;
pub mod backup;
mod causes;
pub mod clock;
pub mod env_file;
pub mod environment;
pub mod events;
pub mod fill_requests;
pub mod grants;
pub mod health;
pub mod ids;
pub mod instance;
pub mod invitations;
pub mod key_links;
mod keyed_hash;
pub mod keyring;
mod log_limit;
mod memory;
pub mod mint;
pub mod passwords;
pub mod placeholders;
pub mod policies;
pub mod random;
pub mod requests;
pub mod roles;
pub mod root_key;
pub mod rows;
pub mod runs;
pub mod scanner;
pub mod sealing;
pub mod second_factor;
pub mod secrets;
pub mod services;
pub mod sessions;
pub mod sign_ins;
pub mod store;
pub mod tags;
pub mod teams;
pub mod text;
pub mod tokens;
pub mod users;
pub mod values;

pub use access::{Action, Caller, Denied, Permit};
pub use app::App;
pub use causes::with_causes;
pub use clock::{Clock, Timestamp};
pub use grants::{Grant, Scope, Scopes};
pub use ids::{
    AgentId, ApiKeyId, AttachmentId, FillRequestId, InstanceId, InvitationId, KeyId, KeyLinkId, RevisionId,
    RunId, SecretId, SessionId, SignInId, TeamId, UserId,
};
pub use log_limit::{LogLimit, Unlogged};
pub use random::{Ahead, OsRandom, Random};
pub use roles::Role;
pub use root_key::RootKey;
pub use store::{Store, StoreError};
pub use text::{Invalid, SecretName, ServiceSlug};
pub use values::{Bundle, EnvKey, SecretValue};
