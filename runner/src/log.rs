//! Where a step's bytes go while it runs.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cofferdam_protocol::{AttemptId, Origin, StepIndex};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::outbox::{Outbox, Piece};
use crate::text::printable;

/// Takes the bytes of one step as they come. `executor` writes, the outbox of the job reads; in tests a
/// vector.
///
/// A call returns when the bytes are taken: a slow reader slows the step down, nothing is lost and
/// nothing is buffered without bound. Cancelling the future may lose the bytes of that call.
#[async_trait]
pub trait LogSink: Send + Sync + Debug {
    /// Takes `bytes`, of any length and content.
    async fn write(&self, origin: Origin, bytes: &[u8]);
}

/// The log of one step of an attempt: stamps the bytes and puts them into the outbox.
#[derive(Debug)]
pub struct StepLog {
    /// Where they go.
    pub outbox: Arc<Outbox>,
    /// Stamps them.
    pub clock: Arc<dyn Clock>,
    /// Whose they are.
    pub attempt: AttemptId,
    /// Which step's they are.
    pub step: StepIndex,
    /// The job's own: once it fired, nobody waits for a hub that is away.
    pub cancel: CancellationToken,
}

/// How long the last bytes of a cancelled step wait for room. The hub that cancelled it is there; one that
/// is away must not hold a shutdown up.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

#[async_trait]
impl LogSink for StepLog {
    async fn write(&self, origin: Origin, bytes: &[u8]) {
        let piece = Piece {
            step: self.step,
            origin,
            at: self.clock.now(),
            bytes,
        };
        let giving_up = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(LAST_WORDS_MAX).await;
        };
        tokio::select! {
            biased;
            // An attempt that the hub dropped is being cancelled; its last words have no reader.
            _dropped = self.outbox.log(self.attempt, piece) => {}
            () = giving_up => {}
        }
    }
}

/// Writes one line of Cofferdam's own. What it quotes of a file or a step cannot end that line and begin another one.
pub async fn say(log: &dyn LogSink, line: &str) {
    let line = printable(line);
    log.write(Origin::System, format!("{line}\n").as_bytes())
        .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<u8>>);

    #[async_trait]
    impl LogSink for Heard {
        async fn write(&self, origin: Origin, bytes: &[u8]) {
            assert_eq!(origin, Origin::System);
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }

    #[tokio::test]
    async fn a_line_of_ours_is_one_line_whatever_it_quotes() {
        let heard = Heard::default();
        say(&heard, "no image \"a\npassed\r\u{1b}[2J\"").await;
        let heard = String::from_utf8(heard.0.into_inner().unwrap()).unwrap();
        assert_eq!(heard, "no image \"a\\u{a}passed\\u{d}\\u{1b}[2J\"\n");
    }
}
