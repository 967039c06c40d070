//! Where a step's bytes go while it runs.

use std::fmt::Debug;

use async_trait::async_trait;
use cofferdam_protocol::Origin;

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
