//! What became of a step, in the words of the wire: the only file that turns outcomes and errors into
//! what the hub stores.

use std::any::Any;

use cofferdam_git::Blame as GitBlame;
use cofferdam_protocol::report::{Blame, StepResult};

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
            format!("limit `{}` reached: {}", hit.name, hit.allowed_shown()),
        ),
        EndedBy::Timeout(after) => {
            failed(None, format!("timed out after {} s", after.as_secs_f64()))
        }
        EndedBy::Cancel => StepResult::Cancelled,
        EndedBy::Wall(what) => failed(None, sentence(&format!("stopped by a wall: {what}"))),
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

/// The result of a step in which our own code panicked.
pub(super) fn panicked(payload: &(dyn Any + Send)) -> StepResult {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    StepResult::Error {
        blame: Blame::Ours,
        why: sentence(&format!("a bug in the runner: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_runners_own_error_and_says_what_it_was() {
        for (text, expected) in [
            ("plain", "a bug in the runner: plain"),
            ("two\nlines", "a bug in the runner: two\\u{a}lines"),
        ] {
            let payload = std::panic::catch_unwind(|| panic!("{text}")).unwrap_err();
            let StepResult::Error { blame, why } = panicked(payload.as_ref()) else {
                panic!("no error");
            };
            assert_eq!((blame, why.as_str()), (Blame::Ours, expected));
        }
    }
}
