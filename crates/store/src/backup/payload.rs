//! A payload as what it is: rows to be checked, and rows to be restored. It may be opened
//! again and again, and is read from its beginning each time.

use async_trait::async_trait;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::lines::{Lines, PayloadError};
use crate::copy::{Batches, Gathered, Origin, Raw, Reads, way};
use crate::tables::{Columns, Malformed, Read, Record, Shape, shapes};
use strongroom_core::StoreError;
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::KeptAnswer;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::backup::Manifest;
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::instance::Instance;
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::WrappedKey;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::runs::Run;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::store::AnyRow;
use strongroom_core::teams::Team;
use strongroom_core::users::{Membership, User};

/// Opens the decrypted payload at its beginning.
pub type Open = Box<dyn Fn() -> io::Result<Box<dyn io::Read + Send>> + Send + Sync>;

/// A row of a backup.
pub enum Kept {
    /// One that is sealed or has a MAC.
    Row(AnyRow),
    /// A secret, whose versions come later.
    Secret(Stored<Secret>),
    /// A version of a secret that came before.
    Version(Version),
    /// One that is neither sealed nor has a MAC, and the instance's own.
    Other,
}

/// What a payload begins with: what opens the rest.
pub struct Start {
    /// The instance's row, unproven.
    pub instance: Stored<Instance>,
    /// The keys of the hierarchy, wrapped.
    pub keys: Vec<WrappedKey>,
}

/// The payload of a backup.
pub struct Payload {
    open: Open,
    manifest: Manifest,
    /// How far it was read for a copy.
    reading: Mutex<Option<Lines>>,
}

impl Payload {
    /// Of the backup with this manifest.
    ///
    /// # Errors
    /// When another program's tables are in it.
    pub fn new(open: Open, manifest: Manifest) -> Result<Self, PayloadError> {
        let (found, known) = (manifest.schema, super::schema());
        let names = manifest.tables.iter().map(|table| table.name.as_str());
        if found != known || !names.eq(shapes().map(|shape| shape.table)) {
            return Err(PayloadError::Schema { found, known });
        }
        Ok(Self { open, manifest, reading: Mutex::default() })
    }

    fn lines(&self) -> Result<Lines, PayloadError> {
        let lines = Lines::open((self.open)()?)?;
        let is_same = lines.instance().uuid() == self.manifest.instance_id;
        if is_same { Ok(lines) } else { Err(PayloadError::Malformed(1)) }
    }

    /// Its first rows.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn start(&self) -> Result<Start, PayloadError> {
        let mut lines = self.lines()?;
        let (mut instance, mut keys) = (None, Vec::new());
        while let Some(shape) = lines.table()? {
            if shape.table == Instance::TABLE {
                while let Some(row) = lines.row(shape)? {
                    instance = read(&row).ok();
                }
            } else if shape.table == WrappedKey::shape().table {
                while let Some(row) = lines.row(shape)? {
                    keys.extend(read::<WrappedKey>(&row).ok());
                }
                break;
            }
        }
        let instance = instance.ok_or(PayloadError::Count(Instance::TABLE))?;
        Ok(Start { instance, keys })
    }

    /// Shows every row to `visit`, to the end of the payload, which is read but once.
    ///
    /// # Errors
    /// When it can't be read to its end, or rows are missing.
    pub fn walk(&self, mut visit: impl FnMut(Kept)) -> Result<(), PayloadError> {
        let mut lines = self.lines()?;
        while let Some(shape) = lines.table()? {
            let mut rows = 0;
            while let Some(row) = lines.row(shape)? {
                visit(kept(shape, &row));
                rows += 1;
            }
            self.counted(shape, rows)?;
        }
        Ok(())
    }

    fn counted(&self, shape: &Shape, rows: u64) -> Result<(), PayloadError> {
        let expected = self.manifest.rows_of(shape.table);
        if rows == expected { Ok(()) } else { Err(PayloadError::Count(shape.table)) }
    }

    /// As what is copied into a database.
    pub fn origin(self, place: String) -> Origin {
        Origin::new(Restoring(Arc::new(self)), place)
    }

    /// Reads a table until `each` has enough. Tables that are asked for in their order are
    /// read in one go.
    fn read_table(
        &self,
        shape: &'static Shape,
        after: Option<&Raw>,
        each: impl Fn(Vec<Raw>) -> bool,
    ) -> Result<(), PayloadError> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = shapes().take_while(|known| known.table != shape.table).count();
        let mut lines = match reading.take().filter(|lines| lines.tables() <= wanted) {
            Some(lines) => lines,
            None => self.lines()?,
        };
        while lines.tables() <= wanted {
            while lines.skip()? {}
            lines.table()?;
        }
        let (mut rows, mut gathered) = (0, Gathered::default());
        while let Some(row) = lines.row(shape)? {
            rows += 1;
            let is_new = after.is_none_or(|after| row.iter().take(after.len()).gt(after));
            if is_new && gathered.add(row).is_some_and(|batch| !each(batch)) {
                return Ok(());
            }
        }
        self.counted(shape, rows)?;
        if shapes().count() == lines.tables() {
            lines.table()?;
        } else {
            *reading = Some(lines);
        }
        gathered.rest().map(each);
        Ok(())
    }
}

/// A payload on its way into a database.
struct Restoring(Arc<Payload>);

#[async_trait]
impl Reads for Restoring {
    async fn count(&self, shape: &'static Shape) -> Result<u64, StoreError> {
        Ok(self.0.manifest.rows_of(shape.table))
    }

    fn rows(&self, shape: &'static Shape, after: Option<Raw>) -> Batches {
        let (sender, batches) = way();
        let payload = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let each = |batch| sender.blocking_send(Ok(batch)).is_ok();
            if let Err(error) = payload.read_table(shape, after.as_ref(), each) {
                // Whoever went away needs no error.
                let _ = sender.blocking_send(Err(StoreError::Unavailable(Box::new(error))));
            }
        });
        batches
    }
}

fn read<T: Read>(row: &Raw) -> Result<T, Malformed> {
    T::read(&mut Columns::new(row.as_slice()))
}

fn kept(shape: &Shape, row: &Raw) -> Kept {
    known(shape.table, row).unwrap_or(Kept::Row(AnyRow::Malformed(shape.table)))
}

fn known(table: &str, row: &Raw) -> Result<Kept, Malformed> {
    Ok(Kept::Row(match table {
        "keys" => AnyRow::Key(read(row)?),
        Team::TABLE => AnyRow::Team(read(row)?),
        User::TABLE => AnyRow::User(read(row)?),
        Membership::TABLE => AnyRow::Membership(read(row)?),
        ApiKey::TABLE => AnyRow::ApiKey(read(row)?),
        KeyLink::TABLE => AnyRow::KeyLink(read(row)?),
        SignIn::TABLE => AnyRow::SignIn(read(row)?),
        Session::TABLE => AnyRow::Session(read(row)?),
        Invitation::TABLE => AnyRow::Invitation(read(row)?),
        FillRequest::TABLE => AnyRow::FillRequest(read(row)?),
        KeptAnswer::TABLE => AnyRow::Answer(read(row)?),
        Agent::TABLE => AnyRow::Agent(read(row)?),
        Revision::TABLE => AnyRow::Revision(read(row)?),
        Attachment::TABLE => AnyRow::Attachment(read(row)?),
        Run::TABLE => AnyRow::Run(read(row)?),
        Secret::TABLE => return Ok(Kept::Secret(read(row)?)),
        "versions" => return Ok(Kept::Version(read(row)?)),
        _ => return Ok(Kept::Other),
    }))
}
