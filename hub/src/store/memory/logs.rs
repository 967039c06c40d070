//! Log records.

use async_trait::async_trait;
use cofferdam_protocol::{BuildId, JobId, LogFrame, RunnerId, StepIndex};

use super::{MemoryStore, Rows};
use crate::store::frame::Kept;
use crate::store::{Applied, LogPage, LogStore, StoreError, frame};

#[async_trait]
impl LogStore for MemoryStore {
    async fn append(&self, runner: RunnerId, frame: LogFrame) -> Result<Applied, StoreError> {
        Ok(self.rows().append(runner, frame, self.log_bytes_max))
    }

    async fn read(
        &self,
        build: BuildId,
        cursor: u64,
        bytes_max: usize,
    ) -> Result<LogPage, StoreError> {
        let rows = self.rows();
        let log = rows.build(build).map_or(&[][..], |row| &row.log);
        let mut page = LogPage {
            records: Vec::new(),
            next: cursor,
        };
        let seen = usize::try_from(cursor).unwrap_or(usize::MAX);
        let mut room = bytes_max;
        for (attempt, record) in log.iter().skip(seen) {
            let bytes = record.encoded_bytes();
            if bytes > room && !page.records.is_empty() {
                break;
            }
            room = room.saturating_sub(bytes);
            page.records.push((*attempt, record.clone()));
            page.next += 1;
        }
        Ok(page)
    }
}

impl Rows {
    /// What the log of a job takes, of all its attempts.
    fn log_bytes(&self, job: JobId) -> u64 {
        let attempts = self.attempts.values();
        let of_job = attempts.filter(|attempt| attempt.job == job);
        of_job.map(|attempt| attempt.log_bytes).sum()
    }

    fn append(&mut self, runner: RunnerId, frame: LogFrame, log_bytes_max: u64) -> Applied {
        let attempt = match self.turn(frame.attempt, runner, frame.fence, frame.seq) {
            Ok(attempt) => attempt.clone(),
            Err(applied) => return applied,
        };
        let live = self.live(attempt.id, attempt.fence);
        if live.is_none_or(|(_, live)| live.started_at.is_none()) {
            return Applied::Refused(frame::NOT_STARTED.to_owned());
        }
        let job = self.job(attempt.job);
        let steps: Vec<StepIndex> = job.map_or(Vec::new(), |job| {
            job.steps.iter().map(|step| step.spec.index).collect()
        });
        let bytes = match frame::measure(&frame, &steps) {
            Ok(bytes) => bytes,
            Err(why) => return Applied::Refused(why),
        };
        let kept = match frame::keep(&frame, bytes, self.log_bytes(attempt.job), log_bytes_max) {
            Kept::Whole => frame.records,
            Kept::Mark(record) => vec![record],
            Kept::Nothing => Vec::new(),
        };
        if let Some(row) = self.build_mut(attempt.build) {
            let records = kept.into_iter().map(|record| (attempt.id, record));
            row.log.extend(records);
        }
        if let Some(attempt) = self.attempts.get_mut(&attempt.id) {
            attempt.log_bytes = attempt.log_bytes.saturating_add(bytes);
            attempt.position = Some(frame.seq);
        }
        Applied::Stored(frame.seq)
    }
}
