//! What a runner reports becomes state, once: each event and log frame is stored under its number, and
//! what the store answers is what the runner is told.

mod conversation;

use std::sync::Arc;

use cofferdam_protocol::frame::HeldAttempt;
use cofferdam_protocol::limits::{ATTEMPTS_MAX, RECEIPT_BYTES_MAX, TEXT_BYTES_MAX};
use cofferdam_protocol::report::{JobEvent, StepResult};
use cofferdam_protocol::{AttemptId, Fence, HubFrame, LogFrame, Seq};
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::config::LeaseConfig;
use crate::domain::JobState;
use crate::live::Live;
use crate::store::{Applied, LogStore, QueueStore, Report, StoreError};

pub use conversation::Conversation;

/// Applies what runners report. One for the life of the hub; called from every session at once.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// Where attempts stand.
    pub queue: Arc<dyn QueueStore>,
    /// Their log bytes.
    pub logs: Arc<dyn LogStore>,
    /// Wakes those who read along.
    pub live: Arc<Live>,
    /// How leases are kept.
    pub lease: LeaseConfig,
    /// Stamps.
    pub clock: Arc<dyn Clock>,
}

/// Why a frame leads to no answer.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The store failed; the frame may come again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The frame breaks a bound. The session ends.
    #[error("{0}")]
    Malformed(String),
}

impl Ingest {
    /// An event in the form in which it is stored, with the hub's own time.
    pub fn report(
        &self,
        talk: &Conversation,
        (attempt, fence, seq): (AttemptId, Fence, Seq),
        at: Timestamp,
        event: JobEvent,
    ) -> Report {
        Report {
            runner: talk.runner(),
            attempt,
            fence,
            seq,
            at,
            event: bounded(event),
            now: self.clock.now(),
        }
    }

    /// Applies an event and says what to answer.
    pub async fn event(
        &self,
        talk: &mut Conversation,
        report: Report,
    ) -> Result<Vec<HubFrame>, IngestError> {
        let (attempt, fence) = (report.attempt, report.fence);
        let is_last = matches!(report.event, JobEvent::Finished { .. });
        let applied = self.queue.apply(report).await?;
        if is_last && matches!(applied, Applied::Stored(_) | Applied::Again(_)) {
            talk.finished(attempt);
        }
        self.wake(&applied);
        Ok(talk.answer(attempt, fence, applied))
    }

    /// Stores a log frame and says what to answer.
    pub async fn log(
        &self,
        talk: &mut Conversation,
        frame: LogFrame,
    ) -> Result<Vec<HubFrame>, IngestError> {
        let (attempt, fence) = (frame.attempt, frame.fence);
        let applied = self.logs.append(talk.runner(), frame).await?;
        self.wake(&applied);
        Ok(talk.answer(attempt, fence, applied))
    }

    /// Wakes those who read along if there is more to read. What was refused or came before wakes nobody: a runner
    /// that repeats itself would keep every reader busy.
    fn wake(&self, applied: &Applied) {
        if let Applied::Stored(_) = applied {
            self.live.wrote();
        }
    }

    /// Renews what a runner says it holds. An attempt that is met for the first time in a session is also
    /// told how far the hub has it.
    pub async fn alive(
        &self,
        talk: &mut Conversation,
        attempts: Vec<HeldAttempt>,
    ) -> Result<Vec<HubFrame>, IngestError> {
        if attempts.len() > ATTEMPTS_MAX {
            return Err(IngestError::Malformed(format!(
                "it holds {} attempts; a runner holds at most {ATTEMPTS_MAX}",
                attempts.len()
            )));
        }
        let length = SignedDuration::from_secs(i64::from(self.lease.lease_secs));
        let until = self.clock.now() + length;
        let mut answers = Vec::new();
        for HeldAttempt { attempt, fence } in attempts {
            // The last report and this frame crossed on the way: nothing is stale, it is just over.
            if talk.has_finished(attempt) {
                continue;
            }
            let is_renewed = self
                .queue
                .renew(attempt, fence, talk.runner(), until)
                .await?;
            if !is_renewed {
                answers.extend(talk.answer(attempt, fence, Applied::Stale));
                continue;
            }
            if talk.meets(attempt) {
                let through = self.queue.position(attempt).await?;
                answers.push(HubFrame::Position { attempt, through });
                answers.extend(self.wanted_cancel(attempt, fence).await?);
            }
            answers.push(HubFrame::Renewed { attempt, fence });
        }
        Ok(answers)
    }

    /// A cancellation that the runner may have missed while it was away.
    async fn wanted_cancel(
        &self,
        attempt: AttemptId,
        fence: Fence,
    ) -> Result<Option<HubFrame>, StoreError> {
        let job = self.queue.leased(attempt, fence).await?;
        let is_wanted = job.is_some_and(
            |job| matches!(&job.state, JobState::Leased(live) if live.is_cancel_wanted),
        );
        Ok(is_wanted.then_some(HubFrame::Cancel { attempt, fence }))
    }
}

/// The event with its free texts cut to their bound: the rest is not kept.
fn bounded(event: JobEvent) -> JobEvent {
    let JobEvent::StepFinished {
        step,
        result,
        receipt,
    } = event
    else {
        return event;
    };
    let result = match result {
        StepResult::Failed { exit, why } => StepResult::Failed {
            exit,
            why: cut(why),
        },
        StepResult::Error { blame, why } => StepResult::Error {
            blame,
            why: cut(why),
        },
        StepResult::Passed | StepResult::Cancelled | StepResult::NotRun => result,
    };
    let receipt_bytes = receipt.to_string().len();
    let receipt = if receipt_bytes > RECEIPT_BYTES_MAX {
        serde_json::json!({ "left_out": "longer than is kept", "bytes": receipt_bytes })
    } else {
        receipt
    };
    JobEvent::StepFinished {
        step,
        result,
        receipt,
    }
}

fn cut(mut text: String) -> String {
    const MARK: &str = " …";
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - MARK.len()));
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests;
