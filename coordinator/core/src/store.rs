//! What is kept in SQLite: what is wanted of partitions, what happened, who may come.
//!
//! The write-ahead log makes each change whole or absent after a crash. A database that cannot be read is put aside, and a new one is
//! begun: what runs is found in the folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use septum_api_types::v1::{Event, Operation, Scope, Token};
use septum_registry::record::now_ms;
use thiserror::Error;

use crate::machine::Partition;
use crate::schema;

/// Events that are kept.
const KEPT_EVENTS: u64 = 10_000;

/// Why something is not kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// A newer program made the database.
    #[error("'{0}' has version {1}, and this program knows only up to {2}")]
    TooNew(PathBuf, usize, usize),
    /// The database failed.
    #[error("the database failed: {0}")]
    Failed(#[source] rusqlite::Error),
    /// A file or folder cannot be used.
    #[error("'{0}' cannot be used: {1}")]
    File(PathBuf, #[source] io::Error),
    /// It cannot be written as JSON.
    #[error("it cannot be written: {0}")]
    Form(#[from] serde_json::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error),
        }
    }
}

/// The database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

/// A database, and the old one that could not be read, if there was one.
#[derive(Debug)]
pub struct Opened {
    /// The database.
    pub store: Store,
    /// Where the old one is now.
    pub kept_aside: Option<PathBuf>,
}

impl Store {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(path: &Path) -> Result<Opened, StoreError> {
        match Self::try_open(path) {
            Ok(store) => Ok(Opened { store, kept_aside: None }),
            Err(StoreError::Failed(error)) if is_damage(&error) => {
                let aside = set_aside(path)?;
                Ok(Opened { store: Self::try_open(path)?, kept_aside: Some(aside) })
            }
            Err(error) => Err(error),
        }
    }

    fn try_open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A crash of the host may cost the last changes, never the whole; one of the coordinator costs nothing.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", -2048)?;
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(StoreError::Failed(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(verdict),
            )));
        }
        schema::migrate(&mut connection).map_err(|error| match error {
            Ok(found) => StoreError::TooNew(path.to_owned(), found, schema::newest()),
            Err(error) => error.into(),
        })?;
        Ok(Self { connection })
    }

    /// All partitions, and how many rows could not be understood and were left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn partitions(&self) -> Result<(Vec<Partition>, usize), StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT body FROM partition")?;
        let (mut good, mut strange) = (Vec::new(), 0);
        for body in statement.query_map([], |row| row.get::<_, String>(0))? {
            match serde_json::from_str(&body?) {
                Ok(partition) => good.push(partition),
                Err(_) => strange += 1,
            }
        }
        Ok((good, strange))
    }

    /// Keeps a partition and what happened to it, together.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is kept then.
    pub fn save(
        &mut self,
        partition: &Partition,
        claim: Option<(&str, &str)>,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_string(partition)?;
        let change = self.connection.transaction()?;
        match claim {
            Some((key, digest)) => change
                .prepare_cached(
                    "INSERT INTO partition (id, body, idempotency_key, request_digest) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![partition.id, body, key, digest])?,
            None => change
                .prepare_cached(
                    "INSERT INTO partition (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2",
                )?
                .execute(params![partition.id, body])?,
        };
        event.map(|event| add_event(&change, event)).transpose()?;
        Ok(change.commit()?)
    }

    /// Forgets a partition.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget(&mut self, id: &str, event: Option<&Event>) -> Result<(), StoreError> {
        let change = self.connection.transaction()?;
        change.prepare_cached("DELETE FROM partition WHERE id = ?1")?.execute([id])?;
        event.map(|event| add_event(&change, event)).transpose()?;
        Ok(change.commit()?)
    }

    /// The partition that was made with an idempotency key, and the digest of that request.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn claimed(&self, key: &str) -> Result<Option<(String, String)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, request_digest FROM partition WHERE idempotency_key = ?1")?;
        Ok(statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// The number of the last event.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn last_sequence(&self) -> Result<u64, StoreError> {
        // Of those that are removed too, as AUTOINCREMENT keeps it.
        let found: Option<i64> = self
            .connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'event'", [], |row| row.get(0))
            .optional()?;
        Ok(found.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }

    /// Events after a number, oldest first, so many at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn events_after(&self, sequence: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, at_ms, kind, partition, name, detail FROM event WHERE sequence > ?1
             ORDER BY sequence LIMIT ?2",
        )?;
        let after = i64::try_from(sequence).unwrap_or(i64::MAX);
        let mut events = Vec::new();
        let mut rows = statement.query(params![after, limit])?;
        while let Some(row) = rows.next()? {
            let kind: String = row.get(2)?;
            let Ok(kind) = serde_json::from_value(kind.into()) else { continue };
            events.push(Event {
                sequence: unsigned(row.get(0)?),
                at_ms: unsigned(row.get(1)?),
                kind,
                partition: row.get(3)?,
                name: row.get(4)?,
                detail: row.get(5)?,
            });
        }
        Ok(events)
    }

    /// Removes events that are older than those that are kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn trim_events(&self) -> Result<(), StoreError> {
        let first = signed(self.last_sequence()?.saturating_sub(KEPT_EVENTS));
        self.connection.prepare_cached("DELETE FROM event WHERE sequence <= ?1")?.execute([first])?;
        Ok(())
    }

    /// A fact by its name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn fact(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM fact WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Keeps a fact.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set_fact(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let statement = "INSERT INTO fact VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.connection.execute(statement, [key, value])?;
        Ok(())
    }

    /// Keeps an operation.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn save_operation(&self, operation: &Operation) -> Result<(), StoreError> {
        let body = serde_json::to_string(operation)?;
        let statement = "INSERT INTO operation VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2";
        self.connection.prepare_cached(statement)?.execute([&operation.id, &body])?;
        Ok(())
    }

    /// Forgets an operation.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_operation(&self, id: &str) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM operation WHERE id = ?1", [id])?;
        Ok(())
    }

    /// All operations; those that nobody understands are left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn operations(&self) -> Result<Vec<Operation>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT body FROM operation")?;
        let mut operations = Vec::new();
        for body in statement.query_map([], |row| row.get::<_, String>(0))? {
            operations.extend(serde_json::from_str(&body?).ok());
        }
        Ok(operations)
    }

    /// Keeps a token: its digest, not itself.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn add_token(&self, token: &Token, digest: &str) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO token (id, name, digest, scope, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                token.id,
                token.name,
                digest,
                token.scope.name(),
                signed(token.created_ms),
                token.expires_ms.map(signed)
            ],
        )?;
        Ok(())
    }

    /// Tokens that there are: all, or the one with this digest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn tokens(&self, digest: Option<&str>) -> Result<Vec<Token>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, name, scope, created_ms, expires_ms FROM token WHERE ?1 IS NULL OR digest = ?1
             ORDER BY created_ms, id",
        )?;
        let mut tokens = Vec::new();
        let mut rows = statement.query([digest])?;
        while let Some(row) = rows.next()? {
            let scope: String = row.get(2)?;
            // One that nobody understands lets nobody in.
            let Ok(scope) = scope.parse::<Scope>() else { continue };
            tokens.push(Token {
                id: row.get(0)?,
                name: row.get(1)?,
                scope,
                created_ms: unsigned(row.get(3)?),
                expires_ms: row.get::<_, Option<i64>>(4)?.map(unsigned),
            });
        }
        Ok(tokens)
    }

    /// Removes a token; false if there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.connection.execute("DELETE FROM token WHERE id = ?1", [id])? > 0)
    }
}

fn add_event(connection: &Connection, event: &Event) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO event (sequence, at_ms, kind, partition, name, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            signed(event.sequence),
            signed(event.at_ms),
            event.kind.name(),
            event.partition,
            event.name,
            event.detail
        ])?;
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SchemaChanged)
    )
}

/// Renames the database and what belongs to it.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let suffix = format!("damaged-{}", now_ms());
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = with(&format!(".{suffix}"));
    std::fs::rename(path, &aside).map_err(|error| StoreError::File(path.to_owned(), error))?;
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::rename(with(ending), with(&format!(".{suffix}{ending}")));
    }
    Ok(aside)
}
