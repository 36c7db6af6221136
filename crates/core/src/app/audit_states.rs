//! Whether rows are as the last event that told of them says: a row that was put back as
//! it was before has a MAC that holds, and a database writer can delete any.
//!
//! It rests on the record, which is proven by itself.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use super::{App, Error};
use crate::agents::{Agent, Attachment, Revision};
use crate::api_keys::ApiKey;
use crate::audit::Gap;
use crate::events::{EventKind, Recorded};
use crate::rows::{Row, Stored};
use crate::secrets::Secret;
use crate::store::AnyRow;
use crate::teams::Team;
use crate::users::{Membership, User};

/// Events that are read at a time.
const EVENTS: u32 = 2_000;

/// Tables whose rows stay until an event says otherwise, or their team is shredded.
const LASTING: [&str; 8] = [
    Secret::TABLE,
    Team::TABLE,
    User::TABLE,
    Membership::TABLE,
    ApiKey::TABLE,
    Agent::TABLE,
    Revision::TABLE,
    Attachment::TABLE,
];

/// Names a row across its events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    table: String,
    id: Uuid,
    /// What else is in its primary key: a membership's team, an attachment's revision.
    within: Option<Uuid>,
}

impl Key {
    fn new(table: &str, id: Uuid) -> Self {
        Self { table: table.to_owned(), id, within: None }
    }

    fn of(event: &Recorded) -> Option<Self> {
        let within = match &*event.table {
            Membership::TABLE => event.team_id.map(crate::TeamId::uuid),
            Attachment::TABLE => event.place.revision_id.map(crate::RevisionId::uuid),
            _ => None,
        };
        Some(Self { within, ..Self::new(&event.table, event.object_id?) })
    }

    fn text(&self) -> String {
        self.within.map_or_else(|| self.id.to_string(), |within| format!("{within}/{}", self.id))
    }
}

/// What the last event of a row told.
struct Told {
    mac: Vec<u8>,
    team: Option<Uuid>,
    is_gone: bool,
    is_found: bool,
}

/// A row that isn't what the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misstated {
    /// Its table.
    pub table: String,
    /// Its key, as far as it can be told.
    pub id: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// What the record says of rows, and what they are.
#[derive(Default)]
struct States {
    told: HashMap<Key, Told>,
    /// Teams whose rows are gone, and secrets that are gone with their attachments.
    gone: HashSet<Uuid>,
    /// The last place in the record that was read.
    read: i64,
    /// Rows whose MAC is another than was told, with what it is.
    others: Vec<(Key, Vec<u8>)>,
    rows: u64,
}

/// What was seen of rows and their record.
#[derive(Debug, Default)]
pub struct VerifiedStates {
    /// Rows that the record tells of.
    pub rows: u64,
    /// Those that aren't what it says.
    pub wrong: Vec<Misstated>,
}

impl App {
    /// Holds every row with a MAC against the last event that told of it; `progress` is told
    /// of each row.
    ///
    /// # Errors
    /// When the store can't be read to its end.
    pub async fn verify_states(&self, mut progress: impl FnMut() + Send) -> Result<VerifiedStates, Error> {
        let mut states = States::default();
        self.hear(&mut states).await?;
        self.store
            .walk(&mut |row| {
                states.see(&row);
                progress();
            })
            .await?;
        if let Some(instance) = self.store.instance().await? {
            states.simple(&instance, |instance| instance.id.uuid());
        }
        // What changed while they were looked at is told by now.
        let others = std::mem::take(&mut states.others);
        let later = self.hear(&mut states).await?;
        let is_later = |key: &Key, mac: &Vec<u8>| later.iter().any(|(told, now)| told == key && now == mac);
        let others: Vec<_> = others.into_iter().filter(|(key, mac)| !is_later(key, mac)).collect();
        Ok(states.judge(&others))
    }

    /// Reads the record on to its end; what it told of rows.
    async fn hear(&self, states: &mut States) -> Result<Vec<(Key, Vec<u8>)>, Error> {
        let mut told = Vec::new();
        loop {
            let places = Gap { first: states.read.saturating_add(1), last: i64::MAX };
            let events = self.store.recorded(places, None, EVENTS).await?;
            let Some(last) = events.last() else { return Ok(told) };
            let is_first = states.rows == 0;
            states.read = last.sequence;
            for event in &events {
                let heard = states.hear(event);
                told.extend(heard.filter(|_| !is_first));
            }
        }
    }
}

impl States {
    fn hear(&mut self, event: &Recorded) -> Option<(Key, Vec<u8>)> {
        let kind = event.known_kind();
        if matches!(kind, Some(EventKind::SecretPurged | EventKind::TeamShredded)) {
            self.gone.extend(event.object_id);
        }
        let (key, mac) = (Key::of(event)?, event.object_mac.clone()?);
        let team = event.team_id.map(crate::TeamId::uuid);
        let is_gone = matches!(kind, Some(EventKind::SecretDetached | EventKind::RootKeyRemoved));
        match self.told.entry(key.clone()) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.mac.clone_from(&mac);
                known.is_gone = is_gone;
            }
            Entry::Vacant(unknown) => {
                unknown.insert(Told { mac: mac.clone(), team, is_gone, is_found: false });
            }
        }
        Some((key, mac))
    }

    fn see(&mut self, row: &AnyRow) {
        self.rows += 1;
        match row {
            AnyRow::Team(row) => self.row(row, |team| Key::new(Team::TABLE, team.id.uuid())),
            AnyRow::User(row) => self.row(row, |user| Key::new(User::TABLE, user.id.uuid())),
            AnyRow::Membership(row) => self.row(row, |row| Key {
                within: Some(row.team_id.uuid()),
                ..Key::new(Membership::TABLE, row.user_id.uuid())
            }),
            AnyRow::ApiKey(row) => self.row(row, |key| Key::new(ApiKey::TABLE, key.id.uuid())),
            AnyRow::KeyLink(row) => self.simple(row, |link| link.id.uuid()),
            AnyRow::SignIn(row) => self.simple(row, |sign_in| sign_in.user_id.uuid()),
            AnyRow::Session(row) => self.simple(row, |session| session.id.uuid()),
            AnyRow::Invitation(row) => self.simple(row, |invitation| invitation.id.uuid()),
            AnyRow::FillRequest(row) => self.simple(row, |request| request.id.uuid()),
            AnyRow::Agent(row) => self.simple(row, |agent| agent.id.uuid()),
            AnyRow::Revision(row) => self.simple(row, |revision| revision.id.uuid()),
            AnyRow::Attachment(row) => self.row(row, |row| Key {
                within: Some(row.revision_id.uuid()),
                ..Key::new(Attachment::TABLE, row.secret_id.uuid())
            }),
            AnyRow::Run(row) => self.simple(row, |run| run.id.uuid()),
            AnyRow::Secret(row, _) => self.simple(row, |secret| secret.id.uuid()),
            AnyRow::RootCopy(row) => self.simple(row, |copy| copy.key_id.uuid()),
            // These have no events of their own, or none that can be told.
            AnyRow::Key(_) | AnyRow::Answer(_) | AnyRow::Malformed(_) => {}
        }
    }

    fn simple<T: Row>(&mut self, row: &Stored<T>, id: impl Fn(&T) -> Uuid) {
        self.row(row, |row| Key::new(T::TABLE, id(row)));
    }

    fn row<T: Row>(&mut self, row: &Stored<T>, key: impl Fn(&T) -> Key) {
        let (key, mac) = (key(row.row()), row.mac());
        if let Some(told) = self.told.get_mut(&key) {
            told.is_found = true;
            if told.mac != mac.as_bytes() || told.is_gone {
                self.others.push((key, mac.as_bytes().to_vec()));
            }
        }
    }

    fn judge(&self, others: &[(Key, Vec<u8>)]) -> VerifiedStates {
        let wrong = |key: &Key, problem| Misstated { table: key.table.clone(), id: key.text(), problem };
        let not_as_told = others
            .iter()
            .map(|(key, _)| wrong(key, "is not as the record says: an earlier row was put back"));
        let missing = self.told.iter().filter(|(key, told)| {
            let is_gone = told.is_gone
                || self.gone.contains(&key.id)
                || told.team.is_some_and(|team| self.gone.contains(&team));
            LASTING.contains(&key.table.as_str()) && !told.is_found && !is_gone
        });
        let missing = missing.map(|(key, _)| wrong(key, "is missing, and the record tells of no deletion"));
        let mut wrong: Vec<_> = not_as_told.chain(missing).collect();
        wrong.sort_by(|one, other| (&one.table, &one.id).cmp(&(&other.table, &other.id)));
        VerifiedStates { rows: u64::try_from(self.told.len()).unwrap_or(u64::MAX), wrong }
    }
}
