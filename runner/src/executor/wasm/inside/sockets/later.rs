//! Something that is under way, and can be asked whether it is done.

use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

/// What a task of this process will give.
pub(super) enum Later<T> {
    Running(AbortOnDropJoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Later<T> {
    /// Starts it. Dropping what comes back ends it.
    pub(super) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Running(spawn(work))
    }

    /// What it gave, if it is done.
    pub(super) fn get(&mut self) -> Option<&mut T> {
        if let Self::Running(task) = self
            && let Some(done) = task.now_or_never()
        {
            *self = Self::Done(done);
        }
        match self {
            Self::Running(_) => None,
            Self::Done(done) => Some(done),
        }
    }

    /// Waits until it is done. Cancel-safe.
    pub(super) async fn wait(&mut self) {
        if let Self::Running(task) = self {
            *self = Self::Done(task.await);
        }
    }

    /// The same, for a future that is written out.
    pub(super) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Running(task) = self {
            *self = Self::Done(ready!(task.poll_unpin(context)));
        }
        Poll::Ready(())
    }

    /// Waits, and takes what it gave.
    pub(super) async fn into_inner(self) -> T {
        match self {
            Self::Running(task) => task.await,
            Self::Done(done) => done,
        }
    }
}
