//! The two closed enums: all that can be said in a text frame.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hello::{Challenge, Hello, Prove, Refuse, Welcome};
use crate::ids::{AttemptId, Fence, Seq};
use crate::job_spec::JobSpec;
use crate::report::JobEvent;

/// From the hub to a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum HubFrame {
    /// Second frame of a session.
    Challenge(Challenge),
    /// The session is open.
    Welcome(Welcome),
    /// The session ends here.
    Refuse(Refuse),
    /// A job for this runner. It answers with `Accept` or `Decline`.
    Offer(Box<JobSpec>),
    /// Everything of `attempt` up to and including `through` is stored for good.
    Ack {
        /// Which attempt.
        attempt: AttemptId,
        /// The last number stored.
        through: Seq,
    },
    /// How far the hub has this attempt, after a reconnect; the runner goes on from there.
    Position {
        /// Which attempt.
        attempt: AttemptId,
        /// The last number stored, if any.
        through: Option<Seq>,
    },
    /// The lease of `attempt` is renewed.
    Renewed {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try.
        fence: Fence,
    },
    /// The hub does not count on `attempt` any more: stop it and report nothing.
    Stale {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try.
        fence: Fence,
    },
    /// Somebody cancelled the job: stop it and report how it ended.
    Cancel {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try.
        fence: Fence,
    },
}

/// From a runner to the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum RunnerFrame {
    /// First frame of a session.
    Hello(Hello),
    /// Third frame of a session.
    Prove(Prove),
    /// The offered job is taken.
    Accept {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try.
        fence: Fence,
    },
    /// The offered job is not taken, and why. Another runner may get it.
    Decline {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try.
        fence: Fence,
        /// One sentence.
        why: String,
    },
    /// A sign of life, with every attempt that this runner still holds.
    Alive {
        /// The attempts whose leases it wants renewed.
        attempts: Vec<HeldAttempt>,
    },
    /// Something happened to an attempt.
    Event {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try.
        fence: Fence,
        /// Its number in the attempt's series.
        seq: Seq,
        /// When, by the runner's clock.
        at: Timestamp,
        /// What.
        event: JobEvent,
    },
}

/// An attempt that a runner still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAttempt {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Which try.
    pub fence: Fence,
}
