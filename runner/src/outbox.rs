//! What this runner has to say about its attempts, kept until the hub says that it is stored.
//!
//! Each attempt has one series of numbers for events and log frames. Log bytes are coalesced into the
//! open frame at the end of the series until somebody takes it for sending: a quiet step's bytes leave
//! at once, a loud one's leave in large frames. After a reconnect everything unacknowledged is sent
//! again; the hub applies each number once.
//!
//! Kept in memory, so a runner that is killed loses what was not acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use cofferdam_protocol::frame::HeldAttempt;
use cofferdam_protocol::limits::{BINARY_FRAME_BYTES_MAX, LOG_RECORD_BYTES_MAX, LOG_RECORDS_MAX};
use cofferdam_protocol::report::JobEvent;
use cofferdam_protocol::{
    AttemptId, Fence, LogFrame, LogRecord, Origin, RunnerFrame, Seq, StepIndex,
};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};

/// Unacknowledged bytes that one attempt may hold before its step's output blocks: a second of a fast
/// build's output on a slow link. Twice as many attempts as slots can hold so much.
const ATTEMPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Room that a frame's header and record headers may take beside the payload.
const FRAME_PAYLOAD_BYTES_MAX: usize = BINARY_FRAME_BYTES_MAX - 64 * 1024;

/// All attempts of this runner. Shared by jobs, which write, and the session, which reads.
#[derive(Debug, Default)]
pub struct Outbox {
    attempts: Mutex<BTreeMap<AttemptId, Series>>,
    /// Wakes the session when there is something new to send.
    version: watch::Sender<u64>,
    /// Wakes jobs that wait for room, and those that wait for the end.
    drained: Notify,
}

#[derive(Debug)]
struct Series {
    fence: Fence,
    next: Seq,
    entries: VecDeque<(Seq, Entry)>,
    bytes: usize,
    is_finished: bool,
}

#[derive(Debug)]
enum Entry {
    Event {
        at: Timestamp,
        event: Box<JobEvent>,
    },
    Log {
        records: Vec<LogRecord>,
        bytes: usize,
    },
}

/// A frame ready for the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// A text frame.
    Event(RunnerFrame),
    /// A binary frame.
    Log(LogFrame),
}

/// The attempt was dropped: the hub does not count on it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub does not count on this attempt any more")]
pub struct Dropped;

/// Some bytes of a step at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which step.
    pub step: StepIndex,
    /// Who wrote them.
    pub origin: Origin,
    /// When.
    pub at: Timestamp,
    /// The bytes, of any length.
    pub bytes: &'a [u8],
}

impl Outbox {
    /// Opens the series of a new attempt. An attempt that is open already keeps its series.
    pub fn open(&self, attempt: AttemptId, fence: Fence) {
        self.lock().entry(attempt).or_insert_with(|| Series {
            fence,
            next: Seq::FIRST,
            entries: VecDeque::new(),
            bytes: 0,
            is_finished: false,
        });
    }

    /// Adds an event to the series. Never blocks: there are a handful in a job.
    pub fn event(&self, attempt: AttemptId, at: Timestamp, event: JobEvent) -> Result<(), Dropped> {
        {
            let mut attempts = self.lock();
            let series = attempts.get_mut(&attempt).ok_or(Dropped)?;
            series.is_finished |= matches!(event, JobEvent::Finished { .. });
            series.push(Entry::Event {
                at,
                event: Box::new(event),
            });
        }
        self.announce();
        Ok(())
    }

    /// Adds log bytes, waiting while the attempt holds too much. Cancel-safe up to the piece's parts
    /// of [`LOG_RECORD_BYTES_MAX`] bytes.
    pub async fn log(&self, attempt: AttemptId, piece: Piece<'_>) -> Result<(), Dropped> {
        for part in piece.bytes.chunks(LOG_RECORD_BYTES_MAX) {
            let record = LogRecord {
                step: piece.step,
                origin: piece.origin,
                at_ms: u64::try_from(piece.at.as_millisecond()).unwrap_or(0),
                bytes: part.to_vec(),
            };
            self.wait_for_room(attempt).await?;
            self.lock().get_mut(&attempt).ok_or(Dropped)?.append(record);
            self.announce();
        }
        Ok(())
    }

    async fn wait_for_room(&self, attempt: AttemptId) -> Result<(), Dropped> {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.lock().get(&attempt).ok_or(Dropped)?.bytes < ATTEMPT_BYTES_MAX {
                return Ok(());
            }
            drained.await;
        }
    }

    /// The next frame to send, of any attempt, after what `sent` says was sent; `sent` is moved on.
    /// Attempts take turns, so that a loud one does not silence the others.
    pub fn take(&self, sent: &mut SentMarks) -> Option<Outgoing> {
        let mut attempts = self.lock();
        sent.through
            .retain(|attempt, _| attempts.contains_key(attempt));
        let after_last = attempts.range((
            sent.last
                .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
            std::ops::Bound::Unbounded,
        ));
        let order: Vec<AttemptId> = after_last
            .map(|(id, _)| *id)
            .chain(attempts.keys().copied())
            .collect();
        for attempt in order {
            let mark = sent.through.get(&attempt).copied();
            let series = attempts.get_mut(&attempt)?;
            if let Some((seq, outgoing)) = series.first_after(attempt, mark) {
                sent.through.insert(attempt, seq);
                sent.last = Some(attempt);
                return Some(outgoing);
            }
        }
        None
    }

    /// Forgets what the hub has stored. A finished attempt that has nothing left is closed.
    pub fn acknowledge(&self, attempt: AttemptId, through: Seq) {
        {
            let mut attempts = self.lock();
            let Some(series) = attempts.get_mut(&attempt) else {
                return;
            };
            series.forget(through);
            if series.is_finished && series.entries.is_empty() {
                attempts.remove(&attempt);
            }
        }
        self.drained.notify_waiters();
    }

    /// Whether an attempt has a series: it runs, or its end is not stored yet.
    pub fn is_open(&self, attempt: AttemptId) -> bool {
        self.lock().contains_key(&attempt)
    }

    /// Whether this runner can go on after `through`: a hub whose data was restored from a copy may have
    /// forgotten what it acknowledged, and we have too.
    pub fn can_go_on_after(&self, attempt: AttemptId, through: Option<Seq>) -> bool {
        let wanted = through.map_or(Seq::FIRST, Seq::next);
        self.lock().get(&attempt).is_none_or(|series| {
            let first_held = series.entries.front().map_or(series.next, |(seq, _)| *seq);
            first_held <= wanted
        })
    }

    /// Forgets an attempt: the hub does not want to hear of it.
    pub fn drop_attempt(&self, attempt: AttemptId) {
        self.lock().remove(&attempt);
        self.drained.notify_waiters();
    }

    /// Every attempt with a series.
    pub fn held(&self) -> Vec<HeldAttempt> {
        let attempts = self.lock();
        attempts
            .iter()
            .map(|(attempt, series)| HeldAttempt {
                attempt: *attempt,
                fence: series.fence,
            })
            .collect()
    }

    /// Changes whenever there may be something new to send.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Waits until no attempt has a series: all is said and stored, or dropped.
    pub async fn wait_until_empty(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            drained.await;
        }
    }

    fn announce(&self) {
        self.version
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AttemptId, Series>> {
        self.attempts
            .lock()
            .expect("no code panics while it holds the outbox")
    }
}

/// What one connection has sent so far.
#[derive(Debug, Default)]
pub struct SentMarks {
    through: BTreeMap<AttemptId, Seq>,
    last: Option<AttemptId>,
}

impl SentMarks {
    /// The hub stands elsewhere than we thought: go on from there.
    pub fn rewind(&mut self, attempt: AttemptId, through: Option<Seq>) {
        // What was never sent here needs no mark.
        match (through, self.through.get_mut(&attempt)) {
            (Some(seq), Some(mark)) => *mark = seq,
            (Some(_), None) => {}
            (None, _) => drop(self.through.remove(&attempt)),
        }
    }
}

impl Series {
    fn push(&mut self, entry: Entry) {
        self.seal();
        self.entries.push_back((self.next, entry));
        self.next = self.next.next();
    }

    /// Adds a record to the open frame if it has room, else to a new one.
    fn append(&mut self, record: LogRecord) {
        let added = record.encoded_bytes();
        self.bytes += added;
        if self.has_open_frame()
            && let Some((_, Entry::Log { records, bytes })) = self.entries.back_mut()
            && *bytes + added <= FRAME_PAYLOAD_BYTES_MAX
            && records.len() < LOG_RECORDS_MAX
        {
            records.push(record);
            *bytes += added;
            return;
        }
        self.seal();
        self.entries.push_back((
            self.next,
            Entry::Log {
                records: vec![record],
                bytes: added,
            },
        ));
    }

    /// Whether the last entry is a log frame that nobody has taken yet: it carries the number that
    /// `next` still stands at.
    fn has_open_frame(&self) -> bool {
        self.entries
            .back()
            .is_some_and(|(seq, _)| *seq == self.next)
    }

    /// The open frame, if there is one, gets its number for good.
    fn seal(&mut self) {
        if self.has_open_frame() {
            self.next = self.next.next();
        }
    }

    fn first_after(&mut self, attempt: AttemptId, mark: Option<Seq>) -> Option<(Seq, Outgoing)> {
        let start = self.entries.partition_point(|(seq, _)| Some(*seq) <= mark);
        let is_last = start + 1 == self.entries.len();
        if start < self.entries.len() && is_last {
            self.seal();
        }
        let (seq, entry) = self.entries.get(start)?;
        let fence = self.fence;
        let outgoing = match entry {
            Entry::Event { at, event } => Outgoing::Event(RunnerFrame::Event {
                attempt,
                fence,
                seq: *seq,
                at: *at,
                event: event.as_ref().clone(),
            }),
            Entry::Log { records, bytes: _ } => Outgoing::Log(LogFrame {
                attempt,
                fence,
                seq: *seq,
                records: records.clone(),
            }),
        };
        Some((*seq, outgoing))
    }

    fn forget(&mut self, through: Seq) {
        while self.entries.front().is_some_and(|(seq, _)| *seq <= through) {
            // A hub that acknowledges what was never sent must not shift our numbers.
            self.seal();
            if let Some((_, Entry::Log { records: _, bytes })) = self.entries.pop_front() {
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests;
