//! Room and order for the pushes that are resolved: how many may wait, and whose turn it is.
//!
//! A repository's pushes take turns among themselves before they take one of the hub's few: a repository that is slow, or
//! is made slow by somebody, holds one of them at most, and the others go on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::domain::RepoName;

/// Pushes that are resolved at once. Each runs git and reads a file; two cores have nothing from more.
const RESOLVES_MAX: usize = 8;

/// Pushed refs that are resolved or wait for their repository's turn. More are remembered, and wait for a place.
const PENDING_MAX: usize = 256;

/// As many of one repository: six pushes of five refs each. One that does not answer leaves most of the hub's room to
/// the others.
const REPOSITORY_PENDING_MAX: usize = 32;

/// Pushed refs that are remembered and wait for a place: some megabytes of tasks. Beyond that the hub says that it is busy.
const BACKLOG_MAX: usize = 2048;

/// As many of one repository: fifty pushes of five refs each. Beyond that a push is not taken.
pub(super) const REPOSITORY_BACKLOG_MAX: usize = 256;

/// Who may wait, and who goes first. One for the life of the hub.
#[derive(Debug)]
pub(super) struct Turns {
    resolving: Arc<Semaphore>,
    pending: Arc<Semaphore>,
    backlog: Arc<Semaphore>,
    /// One for each repository of which something was pushed, so never more than the operator added.
    queues: Mutex<BTreeMap<RepoName, Queue>>,
}

/// What the pushes of one repository share.
#[derive(Clone, Debug)]
struct Queue {
    turn: Arc<Semaphore>,
    pending: Arc<Semaphore>,
    backlog: Arc<Semaphore>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Everybody together has too much.
    Hub,
    /// This repository has.
    Repository,
}

/// Room for one push. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    queue: Queue,
    resolving: Arc<Semaphore>,
    _of_repository: OwnedSemaphorePermit,
    _of_hub: OwnedSemaphorePermit,
}

/// Room to wait for a place. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    _of_repository: OwnedSemaphorePermit,
    _of_hub: OwnedSemaphorePermit,
}

/// A push's turn. Over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _of_repository: SemaphorePermit<'a>,
    _of_hub: SemaphorePermit<'a>,
}

/// What every semaphore here is.
const OPEN: &str = "these semaphores are never closed";

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            resolving: Arc::new(Semaphore::new(RESOLVES_MAX)),
            pending: Arc::new(Semaphore::new(PENDING_MAX)),
            backlog: Arc::new(Semaphore::new(BACKLOG_MAX)),
            queues: Mutex::default(),
        }
    }

    /// Room for so many pushes of a repository, for all of them or for none.
    pub(super) fn places(&self, name: &RepoName, count: usize) -> Result<Vec<Place>, NoRoom> {
        let queue = self.queue(name);
        let permits = pairs(&queue.pending, &self.pending, count)?;
        let place = |(of_repository, of_hub)| Place {
            queue: queue.clone(),
            resolving: Arc::clone(&self.resolving),
            _of_repository: of_repository,
            _of_hub: of_hub,
        };
        Ok(permits.into_iter().map(place).collect())
    }

    /// Room to wait for a place for so many pushes of a repository, for all of them or for none.
    pub(super) fn backlog(&self, name: &RepoName, count: usize) -> Result<Vec<Waiting>, NoRoom> {
        let queue = self.queue(name);
        let permits = pairs(&queue.backlog, &self.backlog, count)?;
        let waiting = |(of_repository, of_hub)| Waiting {
            _of_repository: of_repository,
            _of_hub: of_hub,
        };
        Ok(permits.into_iter().map(waiting).collect())
    }

    /// Room for one push of a repository, once there is some.
    pub(super) async fn place(&self, name: &RepoName) -> Place {
        let queue = self.queue(name);
        let of_repository = Arc::clone(&queue.pending)
            .acquire_owned()
            .await
            .expect(OPEN);
        let of_hub = Arc::clone(&self.pending).acquire_owned().await.expect(OPEN);
        Place {
            queue,
            resolving: Arc::clone(&self.resolving),
            _of_repository: of_repository,
            _of_hub: of_hub,
        }
    }

    fn queue(&self, name: &RepoName) -> Queue {
        // Every change of the map is one statement, so a panic elsewhere leaves it whole.
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Queue {
            turn: Arc::new(Semaphore::new(1)),
            pending: Arc::new(Semaphore::new(REPOSITORY_PENDING_MAX)),
            backlog: Arc::new(Semaphore::new(REPOSITORY_BACKLOG_MAX)),
        };
        queues.entry(name.clone()).or_insert_with(new).clone()
    }
}

/// A permit of a repository's and one of the hub's for each of so many pushes.
fn pairs(
    of_repository: &Arc<Semaphore>,
    of_hub: &Arc<Semaphore>,
    count: usize,
) -> Result<Vec<(OwnedSemaphorePermit, OwnedSemaphorePermit)>, NoRoom> {
    let permits = u32::try_from(count).map_err(|_| NoRoom::Repository)?;
    let of_repository = Arc::clone(of_repository).try_acquire_many_owned(permits);
    let mut of_repository = of_repository.map_err(|_| NoRoom::Repository)?;
    let of_hub = Arc::clone(of_hub).try_acquire_many_owned(permits);
    let mut of_hub = of_hub.map_err(|_| NoRoom::Hub)?;
    let mut pairs = Vec::with_capacity(count);
    while let (Some(one), Some(other)) = (of_repository.split(1), of_hub.split(1)) {
        pairs.push((one, other));
    }
    Ok(pairs)
}

impl Place {
    /// Waits until it is this push's turn: first in its repository, then in the hub. Dropping the future gives the
    /// place in the line up.
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn {
            _of_repository: self.queue.turn.acquire().await.expect(OPEN),
            _of_hub: self.resolving.acquire().await.expect(OPEN),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn name(name: &str) -> RepoName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_repository_that_does_not_answer_holds_one_turn_and_not_the_others() {
        let turns = Turns::new();
        let slow = turns.places(&name("slow"), RESOLVES_MAX + 1).unwrap();
        let held = slow[0].turn().await;
        for waiting in &slow[1..] {
            assert!(waiting.turn().now_or_never().is_none());
        }
        let other = turns.places(&name("other"), 1).unwrap();
        assert!(other[0].turn().now_or_never().is_some());
        drop(held);
        assert!(slow[1].turn().now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_finds_no_place_waits_for_one_within_bounds() {
        let turns = Turns::new();
        let all = turns.places(&name("one"), REPOSITORY_PENDING_MAX).unwrap();
        assert!(turns.places(&name("one"), 1).is_err());
        let waiting = turns.backlog(&name("one"), REPOSITORY_BACKLOG_MAX).unwrap();
        let more = turns.backlog(&name("one"), 1).map(|_| ());
        assert_eq!(more, Err(NoRoom::Repository));
        assert!(turns.backlog(&name("two"), 1).is_ok());
        assert!(turns.place(&name("one")).now_or_never().is_none());
        drop(all);
        assert!(turns.place(&name("one")).now_or_never().is_some());
        drop(waiting);
        assert!(turns.backlog(&name("one"), 1).is_ok());
    }

    #[tokio::test]
    async fn no_repository_takes_all_the_room() {
        let turns = Turns::new();
        let all = turns.places(&name("one"), REPOSITORY_PENDING_MAX).unwrap();
        let more = turns.places(&name("one"), 1).map(|_| ());
        assert_eq!(more, Err(NoRoom::Repository));
        drop(all);
        assert_eq!(turns.places(&name("one"), 2).unwrap().len(), 2);
        let mut held = Vec::new();
        for number in 0..PENDING_MAX / REPOSITORY_PENDING_MAX {
            let name = name(&format!("r{number}"));
            held.extend(turns.places(&name, REPOSITORY_PENDING_MAX).unwrap());
        }
        let more = turns.places(&name("one"), 1).map(|_| ());
        assert_eq!(more, Err(NoRoom::Hub));
        assert_eq!(turns.places(&name("one"), 0).unwrap().len(), 0);
    }
}
