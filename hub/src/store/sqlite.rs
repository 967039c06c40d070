//! The store of a hub that works alone: one SQLite file.
//!
//! One connection writes (`writer.rs`), a few read; write-ahead logging lets them go on beside each
//! other. Migrations are embedded and run when the file is opened. Everything that is read back is
//! parsed into types (`fields.rs`): a row that holds nonsense is an error that names it.
//!
//! Deliberately absent: any decision. What an event means is decided by the domain; these files load
//! what it needs and store what it says, and the columns are such that they cannot contradict it.

mod builds;
mod fields;
mod jobs;
mod logs;
mod queue;
mod reports;
mod runners;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, SqlSafeStr as _, Sqlite, SqliteConnection, SqlitePool,
};

use self::fields::{BadRow, Fields};
use self::writer::{Failure, Writer};
use super::changes::Changes;
use super::{JOB_LOG_BYTES_MAX, RepositoryStore, Store, StoreError};
use crate::data_dir::make_private;
use crate::domain::{RepoName, Repository};

/// Connections that only read. Pages and lists take a millisecond each; four keep both cores of a small
/// host busy, and a follower that reads a long log does not hold up the scheduler.
const READERS_MAX: u32 = 4;

/// How long a connection waits for another one's lock. Only opening and closing the file take one that
/// could be in the way: five seconds are ample.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Every migration: number, what it does, how. Numbers and contents of old ones never change.
const MIGRATIONS: [(i64, &str, &str); 7] = [
    (
        1,
        "create repositories",
        include_str!("../../migrations/sqlite/0001_create_repositories.sql"),
    ),
    (
        2,
        "create runners",
        include_str!("../../migrations/sqlite/0002_create_runners.sql"),
    ),
    (
        3,
        "create builds",
        include_str!("../../migrations/sqlite/0003_create_builds.sql"),
    ),
    (
        4,
        "create attempts",
        include_str!("../../migrations/sqlite/0004_create_attempts.sql"),
    ),
    (
        5,
        "create logs",
        include_str!("../../migrations/sqlite/0005_create_logs.sql"),
    ),
    (
        6,
        "create pushes",
        include_str!("../../migrations/sqlite/0006_create_pushes.sql"),
    ),
    (
        7,
        "keep progress",
        include_str!("../../migrations/sqlite/0007_keep_progress.sql"),
    ),
];

/// Remembers in a SQLite file. Dropped, it finishes the writes that were queued, as long as its runtime lives; who wants
/// to wait for them calls [`Store::close`].
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    changes: Arc<Changes>,
    log_bytes_max: u64,
}

impl SqliteStore {
    /// Opens the file, or makes it, readable for its owner only, and brings its tables up to date. Must
    /// be called within a tokio runtime, which the store's tasks live on.
    ///
    /// What a write answered is on the disk, not only in the kernel's memory (`synchronous = FULL`). A
    /// `kill -9` alone would not ask for that. A power loss does: a runner forgets what was acknowledged,
    /// so a hub that comes back without it could never catch up with that attempt. As writes that wait
    /// together share a commit, the disk is asked far less often than once a write.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        Self::open_with(file, JOB_LOG_BYTES_MAX, BUSY_TIMEOUT).await
    }

    /// As [`Self::open`], with other limits.
    pub(super) async fn open_with(
        file: &Path,
        log_bytes_max: u64,
        busy_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let doing = "open the database";
        // The file holds the keys that sign pushes. SQLite gives its companions the mode of the file itself.
        make_private(file).map_err(failed(doing))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(busy_timeout)
            .disable_statement_logging();
        migrate(&options, &MIGRATIONS)
            .await
            .map_err(failed(doing))?;
        let changes = Arc::new(Changes::new());
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            // A page of a log ends by its bytes: rows that were read ahead would be read in vain.
            .connect_lazy_with(
                options
                    .clone()
                    .row_buffer_size(1)
                    .pragma("query_only", "ON"),
            );
        Ok(Self {
            writer: Writer::start(options, Arc::clone(&changes)),
            readers,
            changes,
            log_bytes_max,
        })
    }

    async fn reader(&self, doing: &'static str) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(failed(doing))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

#[async_trait]
impl RepositoryStore for SqliteStore {
    async fn add_repository(&self, repository: &Repository) -> Result<bool, StoreError> {
        let new = repository.clone();
        self.writer
            .write("add a repository", never, |c| {
                Box::pin(add_repository(c, new))
            })
            .await
    }

    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, StoreError> {
        let doing = "find a repository";
        let mut reader = self.reader(doing).await?;
        let found = find_repository(&mut reader, name).await;
        found.map_err(failed(doing))
    }

    async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        let doing = "list the repositories";
        let mut reader = self.reader(doing).await?;
        let found = list_repositories(&mut reader).await;
        found.map_err(failed(doing))
    }
}

async fn add_repository(
    connection: &mut SqliteConnection,
    new: Repository,
) -> Result<bool, Failure> {
    let Repository {
        name,
        url,
        hook_key,
    } = new;
    let done = sqlx::query(
        "INSERT INTO repositories (name, url, hook_key) VALUES (?, ?, ?)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(name.as_str())
    .bind(url)
    .bind(hook_key.expose_secret())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn find_repository(
    connection: &mut SqliteConnection,
    name: &RepoName,
) -> Result<Option<Repository>, Failure> {
    let found = sqlx::query("SELECT * FROM repositories WHERE name = ?")
        .bind(name.as_str())
        .fetch_optional(connection)
        .await?;
    let found = found.map(|row| repository(Fields::of("repositories", &row)));
    Ok(found.transpose()?)
}

async fn list_repositories(connection: &mut SqliteConnection) -> Result<Vec<Repository>, Failure> {
    let rows = sqlx::query("SELECT * FROM repositories ORDER BY name")
        .fetch_all(connection)
        .await?;
    let rows = rows
        .iter()
        .map(|row| repository(Fields::of("repositories", row)));
    Ok(rows.collect::<Result<_, _>>()?)
}

fn repository(row: Fields<'_>) -> Result<Repository, BadRow> {
    Ok(Repository {
        name: row.text("name", str::parse)?,
        url: row.plain("url")?,
        hook_key: SecretString::from(row.plain::<String>("hook_key")?),
    })
}

// For writes that wake nobody, and for those that always do.
fn never<T>(_: &T) -> bool {
    false
}

fn always<T>(_: &T) -> bool {
    true
}

fn failed<E: Into<Failure>>(doing: &'static str) -> impl FnOnce(E) -> StoreError {
    move |why| StoreError::new(doing, why)
}

/// Brings the tables up to date. A migration that makes a table anew cannot do so while the rows that refer to it are
/// watched over (<https://www.sqlite.org/lang_altertable.html#otheralter>), so they are looked at afterwards.
async fn migrate(
    options: &SqliteConnectOptions,
    migrations: &[(i64, &'static str, &'static str)],
) -> Result<(), Failure> {
    let migrations = migrations.iter().map(|&(number, what, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(number, what.into(), kind, sql.into_sql_str(), false)
    });
    let migrations: Vec<Migration> = migrations.collect();
    let mut connection = options.clone().foreign_keys(false).connect().await?;
    let migrator = Migrator::with_migrations(migrations);
    migrator.run(&mut connection).await?;
    let astray = sqlx::query("PRAGMA foreign_key_check")
        .fetch_optional(&mut connection)
        .await?;
    connection.close().await?;
    match astray {
        Some(row) => {
            let table: String = Fields::of("foreign_key_check", &row).plain("table")?;
            Err(format!("a row of {table} refers to one that is not there").into())
        }
        None => Ok(()),
    }
}
