//! The one connection that writes.
//!
//! Writes come in by a queue and are done by one task, so that dropping the future of a caller neither
//! tears a write nor loses its wake-up. What waits together is committed together: under load many
//! writes share one transaction, each behind a savepoint of its own, and are answered after its commit.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::StoreError;
use crate::store::changes::Changes;

/// Most writes that share one transaction. 64 of the longest log frames are 16 MiB, well within what
/// SQLite writes in a fraction of a second; more would only make the first of them wait.
const BATCH_WRITES_MAX: usize = 64;

/// Most writes that wait. As many again as are being committed; more callers wait for room.
const QUEUE_WRITES_MAX: usize = 64;

/// Why a write, or a read, did not succeed.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The handle by which writes are queued. The task behind it ends when the handle is dropped or closed, after
/// it has done what was queued. A write that panics, which is a bug, ends it too: every later write is
/// then an error.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Pending>>,
    closing: CancellationToken,
    task: TaskTracker,
}

impl Writer {
    /// Starts the task. It connects when there is something to write, and again after a failed commit.
    pub(super) fn start(options: SqliteConnectOptions, changes: Arc<Changes>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_WRITES_MAX);
        let task = WriterTask {
            options,
            connection: None,
            changes,
        };
        let closing = CancellationToken::new();
        let tracker = TaskTracker::new();
        tracker.spawn(task.run(waiting, closing.clone()));
        tracker.close();
        Self {
            queue,
            closing,
            task: tracker,
        }
    }

    /// Takes no more writes, and returns when those that were taken are done and answered.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }

    /// Does `work` in a transaction. If it fails, nothing of it stays. If `is_change` says so of its
    /// answer, whoever waits for changes is woken once it is committed, even when nobody waits for the
    /// answer any more.
    pub(super) async fn write<T, W>(
        &self,
        doing: &'static str,
        is_change: fn(&T) -> bool,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Failure>>
            + Send
            + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let write = OneWrite {
            work: Some(work),
            done: None,
            is_change,
            reply,
        };
        let stopped = || StoreError::new(doing, "the writer of the database has stopped");
        let sent = self.queue.send(Box::new(write)).await;
        sent.map_err(|_| stopped())?;
        let answer = answer.await.map_err(|_| stopped())?;
        answer.map_err(|why| StoreError::new(doing, why))
    }
}

/// A write of any answer.
trait Pending: Send {
    /// Does it, once, and keeps the answer. Whether it succeeded.
    fn run<'a>(&'a mut self, connection: &'a mut SqliteConnection) -> BoxFuture<'a, bool>;

    /// Whether it succeeded and may interest somebody who waits.
    fn is_change(&self) -> bool;

    /// Gives the answer to whoever asked, or why the transaction failed.
    fn reply(self: Box<Self>, committed: &Result<(), Arc<sqlx::Error>>);
}

struct OneWrite<T, W> {
    work: Option<W>,
    done: Option<Result<T, Failure>>,
    is_change: fn(&T) -> bool,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<T, W> Pending for OneWrite<T, W>
where
    T: Send + 'static,
    W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Failure>> + Send,
{
    fn run<'a>(&'a mut self, connection: &'a mut SqliteConnection) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.done = Some(work(connection).await);
            }
            matches!(self.done, Some(Ok(_)))
        })
    }

    fn is_change(&self) -> bool {
        matches!(&self.done, Some(Ok(answer)) if (self.is_change)(answer))
    }

    fn reply(self: Box<Self>, committed: &Result<(), Arc<sqlx::Error>>) {
        let answer = match (self.done, committed) {
            (Some(Ok(answer)), Ok(())) => Ok(answer),
            (Some(Err(why)), _) => Err(why),
            (_, Err(why)) => Err(Arc::clone(why).into()),
            (None, Ok(())) => return,
        };
        // A caller that has gone away does not want to know.
        drop(self.reply.send(answer));
    }
}

struct WriterTask {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    changes: Arc<Changes>,
}

impl WriterTask {
    async fn run(
        mut self,
        mut waiting: mpsc::Receiver<Box<dyn Pending>>,
        closing: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(BATCH_WRITES_MAX);
        loop {
            // Cut short it has taken nothing, see its documentation.
            let count = tokio::select! {
                biased;
                () = closing.cancelled(), if !waiting.is_closed() => {
                    waiting.close();
                    continue;
                }
                count = waiting.recv_many(&mut batch, BATCH_WRITES_MAX) => count,
            };
            if count == 0 {
                break;
            }
            let committed = self.commit(&mut batch).await.map_err(Arc::new);
            if committed.is_err() {
                // Whatever state the connection is in, a new one is in a better one.
                self.connection = None;
            } else if batch.iter().any(|write| write.is_change()) {
                self.changes.mark();
            }
            for write in batch.drain(..) {
                write.reply(&committed);
            }
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed well; nothing is lost");
        }
    }

    async fn commit(&mut self, batch: &mut [Box<dyn Pending>]) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for write in batch {
            let mut savepoint = transaction.begin().await?;
            if write.run(&mut savepoint).await {
                savepoint.commit().await?;
            } else {
                savepoint.rollback().await?;
            }
        }
        transaction.commit().await
    }
}
