//! The log of edits and the settings: compare-and-set by lightweight transactions.
//!
//! A transaction whose answer is lost may or may not have happened. So each writer leaves a token of its own, and reads
//! it back with serial consistency, which brings to an end whatever has begun: then it is known.

use futures_util::stream::TryStreamExt;
use occupancy::edit::Edit;
use scylla::value::MaybeUnset;
use store::{AppendError, Settings, StoreError};
use uuid::Uuid;

use crate::CqlStore;
use crate::session::all_of;
use crate::value::corrupt;

/// An edit up to this size stands in the log itself, in bytes; a larger one is written in parts first.
const INLINE_BYTES: usize = 16 << 10;
/// The size of a part, in bytes.
const PART_BYTES: usize = 512 << 10;
/// How many parts are written, and how many large edits are read, at once.
const AT_ONCE: usize = 8;
/// How often a transaction that lost its turn, or whose answer was lost, is tried before the caller is told.
const ATTEMPTS: usize = 5;

/// A row of the log: revision, writer, number of parts, content.
type EditColumns = (i64, Uuid, Option<i32>, Option<Vec<u8>>);

/// What became of a transaction.
enum Outcome {
    Mine,
    Behind { found: u64 },
    Nobodys,
}

impl CqlStore {
    pub(crate) async fn edits_since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        let Ok(revision) = i64::try_from(revision) else {
            return Ok(Vec::new());
        };
        let rows = self.db.rows::<EditColumns>(&self.statements.edits, (revision,)).await?;
        rows.map_ok(|row| self.read_edit(row)).try_buffered(AT_ONCE).try_collect().await
    }

    async fn read_edit(&self, (revision, writer, parts, content): EditColumns) -> Result<Edit, StoreError> {
        let content = match (content, parts) {
            (Some(content), _) => content,
            (None, parts) => self.read_parts(revision, writer, parts.unwrap_or(0)).await?,
        };
        wire::edit::decode(&content).map_err(|error| corrupt(format!("edit {revision} cannot be read: {error}")))
    }

    async fn read_parts(&self, revision: i64, writer: Uuid, parts: i32) -> Result<Vec<u8>, StoreError> {
        let found: Vec<(i32, Vec<u8>)> = self.db.all(&self.statements.parts, (writer,)).await?;
        if !found.iter().map(|(part, _)| *part).eq(0..parts) {
            return Err(corrupt(format!("edit {revision} has {parts} parts, {} are there", found.len())));
        }
        Ok(found.into_iter().flat_map(|(_, content)| content).collect())
    }

    pub(crate) async fn append_edit(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        let writer = Uuid::new_v4();
        let content = wire::edit::encode(edit);
        let parts = if content.len() > INLINE_BYTES { self.write_parts(writer, &content).await? } else { 0 };
        let outcome = self.append_as(writer, expected, content, parts).await;
        if matches!(outcome, Err(AppendError::Behind { .. })) && parts > 0 {
            self.db.write(&self.statements.drop_parts, (writer,)).await?;
        }
        outcome
    }

    async fn write_parts(&self, writer: Uuid, content: &[u8]) -> Result<i32, StoreError> {
        let parts: Vec<(i32, &[u8])> = (0..).zip(content.chunks(PART_BYTES)).collect();
        let count = i32::try_from(parts.len()).map_err(corrupt)?;
        let writes = parts.into_iter().map(|(part, bytes)| self.db.write(&self.statements.put_part, (writer, part, bytes)));
        all_of(writes.collect(), AT_ONCE).await?;
        Ok(count)
    }

    /// Appends until it is known what became of it.
    async fn append_as(&self, writer: Uuid, expected: u64, content: Vec<u8>, parts: i32) -> Result<(), AppendError> {
        let revision = expected.checked_add(1).and_then(|next| i64::try_from(next).ok());
        let revision = revision.ok_or_else(|| corrupt(format!("there is no revision after {expected}")))?;
        // Before the first edit there is no head.
        let head = (expected > 0).then_some(revision - 1);
        let (parts, content) =
            if parts > 0 { (MaybeUnset::Set(parts), MaybeUnset::Unset) } else { (MaybeUnset::Unset, MaybeUnset::Set(content)) };
        let mut unknown = None;
        for _ in 0..ATTEMPTS {
            match self.db.applied(&self.statements.append_edit, (revision, head, revision, writer, &parts, &content)).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(StoreError::Unavailable(why)) => unknown = Some(why),
                Err(error) => return Err(error.into()),
            }
            match self.appended(writer, revision, expected).await {
                Ok(Outcome::Mine) => return Ok(()),
                Ok(Outcome::Behind { found }) => return Err(AppendError::Behind { expected, found }),
                Ok(Outcome::Nobodys) => {}
                Err(StoreError::Unavailable(why)) => unknown = Some(why),
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Unavailable(unknown.unwrap_or_else(|| format!("edit {revision} found no turn in {ATTEMPTS} attempts"))).into())
    }

    async fn appended(&self, writer: Uuid, revision: i64, expected: u64) -> Result<Outcome, StoreError> {
        let there: Option<(Uuid,)> = self.db.first(&self.statements.writer, (revision,)).await?;
        if there == Some((writer,)) {
            return Ok(Outcome::Mine);
        }
        let head: Option<(Option<i64>,)> = self.db.first(&self.statements.head, ()).await?;
        let found = head.and_then(|(head,)| head).unwrap_or(0).cast_unsigned();
        Ok(if found == expected { Outcome::Nobodys } else { Outcome::Behind { found } })
    }

    pub(crate) async fn read_settings(&self) -> Result<Settings, StoreError> {
        let found: Option<(Option<Uuid>, String)> = self.db.first(&self.statements.settings, ()).await?;
        found.map_or_else(|| Ok(Settings::default()), |(_, value)| Settings::decode(value.as_bytes()))
    }

    pub(crate) async fn compare_and_set(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        let writer = Uuid::new_v4();
        let value = String::from_utf8(new.encode()?).map_err(corrupt)?;
        let mut unknown = None;
        for _ in 0..ATTEMPTS {
            let found: Option<(Option<Uuid>, String)> = self.db.first(&self.statements.decided_settings, ()).await?;
            let (by, old) = found.unzip();
            if by.flatten() == Some(writer) {
                return Ok(true);
            }
            let settings = old.as_ref().map_or_else(|| Ok(Settings::default()), |old| Settings::decode(old.as_bytes()))?;
            if settings != *expected {
                return Ok(false);
            }
            match self.db.applied(&self.statements.put_settings, (writer, &value, old)).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(StoreError::Unavailable(why)) => unknown = Some(why),
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Unavailable(unknown.unwrap_or_else(|| format!("the settings found no turn in {ATTEMPTS} attempts"))))
    }
}
