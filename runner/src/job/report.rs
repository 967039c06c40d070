//! What became of a step, in the words of the wire: the only file that turns outcomes and errors into
//! what the hub stores.

use cofferdam_git::Blame as GitBlame;
use cofferdam_protocol::report::{Blame, JobResult, StepResult};

use crate::checkout::CheckoutError;
use crate::executor::ExecutorError;
use crate::receipt::{EndedBy, Receipt};
use crate::text::{chain, sentence};

/// The result of a step that ran.
pub(super) fn step_result(receipt: &Receipt) -> StepResult {
    let failed = |exit, why| StepResult::Failed { exit, why };
    match &receipt.ended_by {
        EndedBy::Exit(0) => StepResult::Passed,
        EndedBy::Exit(status) => failed(Some(*status), format!("exit status {status}")),
        EndedBy::Trap(what) => failed(None, sentence(&format!("the module trapped: {what}"))),
        EndedBy::Limit(hit) => failed(
            None,
            format!("limit: {} ({} {} allowed)", hit.name, hit.allowed, hit.unit),
        ),
        EndedBy::Timeout(after) => {
            failed(None, format!("timed out after {} s", after.as_secs_f64()))
        }
        EndedBy::Cancel => StepResult::Cancelled,
    }
}

/// The result of a step that could not be run.
pub(super) fn executor_error(error: &ExecutorError) -> StepResult {
    let blame = match error {
        ExecutorError::User(..) | ExecutorError::GrantRefused { .. } => Blame::User,
        ExecutorError::Infrastructure(..) => Blame::Infrastructure,
        ExecutorError::Ours(..) => Blame::Ours,
    };
    StepResult::Error {
        blame,
        why: chain(error),
    }
}

/// The result of a step whose code could not be had.
pub(super) fn checkout_error(error: &CheckoutError) -> StepResult {
    let blame = match error {
        CheckoutError::Git(cofferdam_git::GitError::Cancelled { .. }) => {
            return StepResult::Cancelled;
        }
        CheckoutError::Git(error) => match error.blame() {
            GitBlame::User => Blame::User,
            GitBlame::Infra => Blame::Infrastructure,
            GitBlame::Ours => Blame::Ours,
        },
        CheckoutError::Disk { .. } => Blame::Infrastructure,
        CheckoutError::BadPath { .. } | CheckoutError::NoModule { .. } => Blame::User,
    };
    StepResult::Error {
        blame,
        why: chain(error),
    }
}

/// The result of a job that stopped at a step with this result.
pub(super) fn job_result(last: &StepResult) -> JobResult {
    match last {
        StepResult::Passed => JobResult::Passed,
        StepResult::Failed { .. } => JobResult::Failed,
        StepResult::Error { .. } | StepResult::NotRun => JobResult::Error,
        StepResult::Cancelled => JobResult::Cancelled,
    }
}
