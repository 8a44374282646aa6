//! The form of the database, and how older ones become it.

use rusqlite::Connection;

/// Each makes a database of the version before it one of the next; the first of nothing. Never changed, only added to.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE partition (
        id TEXT PRIMARY KEY NOT NULL,
        body TEXT NOT NULL,
        idempotency_key TEXT UNIQUE,
        request_digest TEXT
    ) STRICT;
    CREATE TABLE event (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        partition TEXT NOT NULL,
        name TEXT,
        detail TEXT
    ) STRICT;
    CREATE TABLE token (
        id TEXT PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL UNIQUE,
        scope TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER
    ) STRICT;
    CREATE TABLE fact (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE operation (id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL) STRICT;
",
];

/// The version that this program makes.
pub fn newest() -> usize {
    MIGRATIONS.len()
}

/// Brings a database to the newest form, each step whole or not at all. `Err(Ok(version))`: it is of a newer program.
pub fn migrate(connection: &mut Connection) -> Result<(), Result<usize, rusqlite::Error>> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(Err)?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > newest() {
        return Err(Ok(found));
    }
    for (index, step) in MIGRATIONS.iter().enumerate().skip(found) {
        let change = connection.transaction().map_err(Err)?;
        change.execute_batch(step).map_err(Err)?;
        change.execute_batch(&format!("PRAGMA user_version = {}", index + 1)).map_err(Err)?;
        change.commit().map_err(Err)?;
    }
    Ok(())
}
