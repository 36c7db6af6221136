//! The rows that decide what the bearer of a key or link may do, and the proof
//! of a permit by their MACs.

use super::{Cells, Columns, Malformed, Read, Record};
use crate::query::Query;
use std::sync::LazyLock;
use strongroom_core::access::{Means, Proof};
use strongroom_core::api_keys::{ApiKey, ProofRows};
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::rows::Row;
use strongroom_core::sessions::Session;
use strongroom_core::teams::Team;
use strongroom_core::users::{Membership, User};
use strongroom_core::{ApiKeyId, FillRequestId, InvitationId, KeyLinkId, SessionId, TeamId, UserId};

static OF_KEY: LazyLock<String> = LazyLock::new(deciding::<ApiKey>);
static OF_LINK: LazyLock<String> = LazyLock::new(deciding::<KeyLink>);
static OF_SESSION: LazyLock<String> = LazyLock::new(deciding::<Session>);
static OF_INVITATION: LazyLock<String> = LazyLock::new(deciding::<Invitation>);
static OF_FILL: LazyLock<String> = LazyLock::new(deciding::<FillRequest>);

/// The rows that decide about a key.
pub(crate) fn of_key(key: ApiKeyId) -> Query<'static, ProofRows<ApiKey>> {
    Query::new(ApiKey::TABLE, OF_KEY.as_str(), [key.as_bytes().into()])
}

/// The rows that decide about a link.
pub(crate) fn of_link(link: KeyLinkId) -> Query<'static, ProofRows<KeyLink>> {
    Query::new(KeyLink::TABLE, OF_LINK.as_str(), [link.as_bytes().into()])
}

/// The rows that decide about a session.
pub(crate) fn of_session(session: SessionId) -> Query<'static, ProofRows<Session>> {
    Query::new(Session::TABLE, OF_SESSION.as_str(), [session.as_bytes().into()])
}

/// The rows that decide about an invitation.
pub(crate) fn of_invitation(invitation: InvitationId) -> Query<'static, ProofRows<Invitation>> {
    Query::new(Invitation::TABLE, OF_INVITATION.as_str(), [invitation.as_bytes().into()])
}

/// The rows that decide about a request to fill in a secret.
pub(crate) fn of_fill(request: FillRequestId) -> Query<'static, ProofRows<FillRequest>> {
    Query::new(FillRequest::TABLE, OF_FILL.as_str(), [request.as_bytes().into()])
}

/// The membership comes last: it alone may be absent.
fn deciding<T: Record>() -> String {
    format!(
        "SELECT {}, {}, {}, {} FROM {} c JOIN users u ON u.id = c.user_id JOIN teams t ON t.id = c.team_id \
         LEFT JOIN memberships m ON m.team_id = c.team_id AND m.user_id = c.user_id WHERE c.id = ?1",
        T::shape().of("c"),
        User::shape().of("u"),
        Team::shape().of("t"),
        Membership::shape().of("m"),
        T::shape().table,
    )
}

impl<T: Record + Row> Read for ProofRows<T> {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            means: Read::read(columns)?,
            user: Read::read(columns)?,
            team: Read::read(columns)?,
            membership: if columns.at_null()? { None } else { Some(Read::read(columns)?) },
        })
    }
}

/// The MACs behind a permit as they are now, for a table of keys, links or runs.
macro_rules! macs {
    ($table:literal, $columns:literal, $joined:literal) => {
        concat!(
            "SELECT c.row_mac, u.row_mac, m.row_mac, t.row_mac",
            $columns,
            " FROM ",
            $table,
            " c JOIN users u ON u.id = c.user_id \
             JOIN memberships m ON m.team_id = c.team_id AND m.user_id = c.user_id \
             JOIN teams t ON t.id = c.team_id ",
            $joined,
            " WHERE c.id = ?1"
        )
    };
}

const BY_KEY: &str = macs!("api_keys", ", NULL, NULL", "");
const BY_LINK: &str = macs!("key_links", ", NULL, NULL", "");
const BY_SESSION: &str = macs!("sessions", ", NULL, NULL", "");
const BY_INVITATION: &str = macs!("invitations", ", NULL, NULL", "");
const BY_FILL: &str = macs!("fill_requests", ", NULL, NULL", "");
/// The same of a user in a team: by what they sign in with, or as nothing but a user.
macro_rules! macs_of_user {
    ($mac:literal, $joined:literal) => {
        concat!(
            "SELECT ",
            $mac,
            ", u.row_mac, m.row_mac, t.row_mac, NULL, NULL FROM users u ",
            $joined,
            "JOIN memberships m ON m.team_id = ?2 AND m.user_id = u.id JOIN teams t ON t.id = m.team_id \
             WHERE u.id = ?1"
        )
    };
}
const BY_SIGN_IN: &str = macs_of_user!("s.row_mac", "JOIN sign_ins s ON s.user_id = u.id ");
const BY_SET_UP: &str = macs_of_user!("u.row_mac", "");
/// The same with those of what a run was started by and of.
const BY_RUN: &str = macs!(
    "runs",
    ", k.row_mac, a.row_mac",
    "JOIN api_keys k ON k.id = c.key_id JOIN agents a ON a.team_id = c.team_id AND a.id = c.agent_id"
);

impl Read for Proof {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            means: columns.mac()?,
            user: columns.mac()?,
            membership: columns.mac()?,
            team: columns.mac()?,
            start: if columns.at_null()? { None } else { Some((columns.mac()?, columns.mac()?)) },
        })
    }
}

/// What a permit must be proven by, as it is now.
pub(crate) fn proof(means: Means, (team, user): (TeamId, UserId)) -> Query<'static, Proof> {
    let of_user = |text: &'static str| {
        Query::new(ApiKey::TABLE, text, [user.as_bytes().into(), team.as_bytes().into()])
    };
    let (text, id) = match means {
        Means::SignIn => return of_user(BY_SIGN_IN),
        Means::SetUp => return of_user(BY_SET_UP),
        Means::Session(session) => (BY_SESSION, session.uuid()),
        Means::Invitation(invitation) => (BY_INVITATION, invitation.uuid()),
        Means::Fill(request) => (BY_FILL, request.uuid()),
        Means::Key(key) => (BY_KEY, key.uuid()),
        Means::Link(link) => (BY_LINK, link.uuid()),
        Means::Run(run) => (BY_RUN, run.uuid()),
    };
    Query::new(ApiKey::TABLE, text, [id.as_bytes().into()])
}
