//! What was said in one session, so that nothing is said twice: a runner sends many frames before it
//! hears the answer to the first.

use std::collections::BTreeMap;

use cofferdam_protocol::{AttemptId, Fence, HubFrame, RunnerId, Seq};

use crate::store::Applied;

/// Attempts that one session remembers. A runner holds 256 at most; the oldest are forgotten, which
/// costs a word said twice.
const ATTEMPTS_REMEMBERED_MAX: usize = 2048;

/// One session's memory.
#[derive(Debug)]
pub struct Conversation {
    runner: RunnerId,
    /// Attempts that were met, and whether a gap was told since their last stored report.
    met: BTreeMap<AttemptId, Met>,
}

#[derive(Debug, Default)]
struct Met {
    is_gap_told: bool,
    is_stale_told: bool,
    has_finished: bool,
}

impl Conversation {
    /// The memory of a new session.
    pub fn new(runner: RunnerId) -> Self {
        Self {
            runner,
            met: BTreeMap::new(),
        }
    }

    /// Whom we speak with.
    pub fn runner(&self) -> RunnerId {
        self.runner
    }

    /// Notes that an attempt is over and its end is stored.
    pub(super) fn finished(&mut self, attempt: AttemptId) {
        self.met(attempt).has_finished = true;
    }

    pub(super) fn has_finished(&self, attempt: AttemptId) -> bool {
        self.met.get(&attempt).is_some_and(|met| met.has_finished)
    }

    /// Whether this is the first we hear of an attempt in this session.
    pub fn meets(&mut self, attempt: AttemptId) -> bool {
        let is_new = !self.met.contains_key(&attempt);
        self.met(attempt);
        is_new
    }

    /// What to answer to a report that the store has looked at.
    pub(super) fn answer(
        &mut self,
        attempt: AttemptId,
        fence: Fence,
        applied: Applied,
    ) -> Vec<HubFrame> {
        let runner = self.runner;
        let met = self.met(attempt);
        match applied {
            Applied::Stored(through) | Applied::Again(through) => {
                met.is_gap_told = false;
                vec![HubFrame::Ack { attempt, through }]
            }
            Applied::Gap(through) => {
                // Everything that is on its way behind the first gap is a gap too.
                let is_told = std::mem::replace(&mut met.is_gap_told, true);
                position(is_told, attempt, through)
            }
            Applied::Stale => stale(met, attempt, fence),
            Applied::Refused(why) => {
                // It would come again for ever. The attempt cannot be gone on with, so the runner drops
                // it, and the lease ends by itself.
                if !met.is_stale_told {
                    tracing::warn!(runner.id = %runner, attempt.id = %attempt, why, "a report makes no sense");
                }
                stale(met, attempt, fence)
            }
        }
    }

    fn met(&mut self, attempt: AttemptId) -> &mut Met {
        if !self.met.contains_key(&attempt) && self.met.len() >= ATTEMPTS_REMEMBERED_MAX {
            // Ids sort by time, so the first is the oldest.
            self.met.pop_first();
        }
        self.met.entry(attempt).or_default()
    }
}

fn position(is_told: bool, attempt: AttemptId, through: Option<Seq>) -> Vec<HubFrame> {
    if is_told {
        return Vec::new();
    }
    vec![HubFrame::Position { attempt, through }]
}

fn stale(met: &mut Met, attempt: AttemptId, fence: Fence) -> Vec<HubFrame> {
    if std::mem::replace(&mut met.is_stale_told, true) {
        return Vec::new();
    }
    vec![HubFrame::Stale { attempt, fence }]
}
