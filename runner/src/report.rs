//! What became of a step, in the words of the wire: the only file that turns receipts, outcomes and
//! errors into what the hub stores.

use cofferdam_git::Blame as GitBlame;
use cofferdam_protocol::limits::TEXT_BYTES_MAX;
use cofferdam_protocol::report::{Blame, JobResult, StepResult};

use crate::checkout::CheckoutError;
use crate::executor::ExecutorError;
use crate::log::printable;
use crate::receipt::{EndedBy, Receipt};

/// The result of a step that ran.
pub fn step_result(receipt: &Receipt) -> StepResult {
    let failed = |exit, why| StepResult::Failed { exit, why };
    match &receipt.ended_by {
        EndedBy::Exit(0) => StepResult::Passed,
        EndedBy::Exit(status) => failed(Some(*status), format!("exit status {status}")),
        EndedBy::Trap(what) => failed(None, short(&format!("the module trapped: {what}"))),
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
pub fn executor_error(error: &ExecutorError) -> StepResult {
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
pub fn checkout_error(error: &CheckoutError) -> StepResult {
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
pub fn job_result(last: &StepResult) -> JobResult {
    match last {
        StepResult::Passed => JobResult::Passed,
        StepResult::Failed { .. } => JobResult::Failed,
        StepResult::Error { .. } | StepResult::NotRun => JobResult::Error,
        StepResult::Cancelled => JobResult::Cancelled,
    }
}

/// An error and its causes, on one line, harmless and within the wire's bound.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    short(&text)
}

fn short(text: &str) -> String {
    let mut text = printable(text);
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}
