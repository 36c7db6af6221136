//! The walk over everything that is sealed or has a MAC, as of one moment.

use futures_util::TryStreamExt;
use std::pin::pin;
use tokio_postgres::Row as SqlRow;

use super::connection::{Link, Live, WHOLE};
use super::error::Fault;
use super::rows::columns;
use crate::tables::{Malformed, Read, Record, Shape, shapes};
use strongroom_core::StoreError;
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::KeptAnswer;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::instance::RootCopy;
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

/// Tables of which no row is shown by itself.
const ASIDE: [&str; 5] = ["instance", "api_key_uses", "deliveries", "versions", "events"];

/// How many rows are shown.
pub(super) async fn count(link: &Link) -> Result<u64, StoreError> {
    let live = link.live().await.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let tables = shapes().map(|shape| shape.table).filter(|table| !ASIDE.contains(table));
    let counts: Vec<_> = tables.map(|table| format!("(SELECT count(*) FROM {table})")).collect();
    let counted = async {
        live.say(WHOLE).await?;
        live.count(&format!("SELECT {}", counts.join(" + "))).await
    };
    counted.await.map_err(|fault: Fault| fault.into_store_error("walk"))
}

/// Shows each row to `visit`. A row that can't be read is shown as such.
pub(super) async fn walk(link: &Link, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError> {
    let live = link.live().await.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let walked = async {
        live.say(WHOLE).await?;
        live.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let mut walk = Walk { live: &live, visit };
        walk.tables().await?;
        live.say("COMMIT").await
    };
    walked.await.map_err(|fault: Fault| fault.into_store_error("walk"))
}

struct Walk<'a> {
    live: &'a Live,
    visit: &'a mut (dyn FnMut(AnyRow) + Send),
}

impl Walk<'_> {
    async fn tables(&mut self) -> Result<(), Fault> {
        self.shown::<WrappedKey>(AnyRow::Key).await?;
        self.stored::<RootCopy>(AnyRow::RootCopy).await?;
        self.stored::<Team>(AnyRow::Team).await?;
        self.stored::<User>(AnyRow::User).await?;
        self.stored::<Membership>(AnyRow::Membership).await?;
        self.stored::<ApiKey>(AnyRow::ApiKey).await?;
        self.stored::<KeyLink>(AnyRow::KeyLink).await?;
        self.stored::<SignIn>(AnyRow::SignIn).await?;
        self.stored::<Session>(AnyRow::Session).await?;
        self.stored::<Invitation>(AnyRow::Invitation).await?;
        self.stored::<FillRequest>(AnyRow::FillRequest).await?;
        self.stored::<KeptAnswer>(AnyRow::Answer).await?;
        self.stored::<Agent>(AnyRow::Agent).await?;
        self.stored::<Revision>(AnyRow::Revision).await?;
        self.stored::<Attachment>(AnyRow::Attachment).await?;
        self.stored::<Run>(AnyRow::Run).await?;
        self.secrets().await?;
        self.orphans().await
    }

    async fn stored<T: Record + Row>(&mut self, show: fn(Stored<T>) -> AnyRow) -> Result<(), Fault> {
        self.each(T::shape(), |row| Ok(show(Read::read(&mut columns(row))?))).await
    }

    async fn shown<T: Record>(&mut self, show: fn(T) -> AnyRow) -> Result<(), Fault> {
        self.each(T::shape(), |row| Ok(show(T::read(&mut columns(row))?))).await
    }

    async fn each(
        &mut self,
        shape: &'static Shape,
        read: impl Fn(&SqlRow) -> Result<AnyRow, Malformed>,
    ) -> Result<(), Fault> {
        let statement = self.live.prepare(&shape.select("true")).await?;
        let mut rows = pin!(self.live.stream(&statement, &[]).await?);
        while let Some(row) = rows.try_next().await? {
            (self.visit)(read(&row).unwrap_or(AnyRow::Malformed(shape.table)));
        }
        Ok(())
    }

    /// Secrets with their versions, which follow one another in the answer.
    async fn secrets(&mut self) -> Result<(), Fault> {
        let select = format!(
            "SELECT {}, {} FROM secrets s LEFT JOIN versions v ON v.secret_id = s.id ORDER BY s.team_id, s.id, v.number",
            Secret::shape().of("s"),
            Version::shape().of("v"),
        );
        let statement = self.live.prepare(&select).await?;
        let mut rows = pin!(self.live.stream(&statement, &[]).await?);
        let mut last: Option<(Stored<Secret>, Vec<Version>)> = None;
        while let Some(row) = rows.try_next().await? {
            let mut columns = columns(&row);
            let Ok(secret) = Stored::<Secret>::read(&mut columns) else {
                (self.visit)(AnyRow::Malformed(Secret::TABLE));
                continue;
            };
            let version = match columns.at_null() {
                Ok(true) => None,
                _ => Some(Version::read(&mut columns)),
            };
            let same = last.as_ref().is_some_and(|(last, _)| last.row().id == secret.row().id);
            if !same && let Some((secret, versions)) = last.replace((secret, Vec::new())) {
                (self.visit)(AnyRow::Secret(secret, versions));
            }
            match (version, &mut last) {
                (Some(Ok(version)), Some((_, versions))) => versions.push(version),
                (Some(Err(_)), _) => (self.visit)(AnyRow::Malformed("versions")),
                _ => {}
            }
        }
        if let Some((secret, versions)) = last {
            (self.visit)(AnyRow::Secret(secret, versions));
        }
        Ok(())
    }

    /// Versions whose secret isn't there: nobody could have opened them.
    async fn orphans(&mut self) -> Result<(), Fault> {
        let count = "SELECT count(*) FROM versions v WHERE NOT EXISTS (SELECT 1 FROM secrets s WHERE s.id = v.secret_id)";
        let (rows, _) = self.live.ask(count, &[]).await?;
        let orphans = rows.first().map(|row| u64::read(&mut columns(row))).transpose()?.unwrap_or(0);
        (0..orphans).for_each(|_| (self.visit)(AnyRow::Malformed("versions")));
        Ok(())
    }
}
