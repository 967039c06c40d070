//! A job that was checked: what `session::from_wire` made of an offer.

use std::collections::BTreeMap;

use cofferdam_protocol::{AttemptId, Fence};

use crate::checkout::Source;
use crate::step::plan::PlannedStep;

/// One attempt of a job, every field within bounds.
#[derive(Debug)]
pub struct Plan {
    /// This try.
    pub attempt: AttemptId,
    /// Its number.
    pub fence: Fence,
    /// The repository's name on the hub, for people.
    pub repository: String,
    /// The build's number in it, for people.
    pub build_number: u64,
    /// What to check out.
    pub source: Source,
    /// For every step.
    pub env: BTreeMap<String, String>,
    /// In order; at least one.
    pub steps: Vec<PlannedStep>,
}
