//! How a step ends: three answers, kept apart by their exit codes.

use std::process::{ExitCode, Termination};

/// What a step says by ending. Return it from `main`.
///
/// The codes are those of `grep` and of most linters, so that a step behaves on a laptop as its
/// users expect. A step may use any other code from 0 to 255; Cofferdam reports it as it is.
///
/// ```
/// use cofferdam_guest_sdk::Verdict;
///
/// let findings: Vec<String> = Vec::new();
/// assert_eq!(Verdict::passed_if(findings.is_empty()), Verdict::Passed);
/// assert_eq!(Verdict::CouldNotRun.code(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The step did its work and has nothing to object to: exit code 0.
    Passed,
    /// The step did its work and says no: exit code 1.
    Failed,
    /// The step could not do its work (wrong arguments, an unreadable file): exit code 2.
    CouldNotRun,
}

impl Verdict {
    /// [`Verdict::Passed`] if the condition holds, else [`Verdict::Failed`].
    pub fn passed_if(condition: bool) -> Self {
        if condition {
            Self::Passed
        } else {
            Self::Failed
        }
    }

    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::CouldNotRun => 2,
        }
    }
}

impl Termination for Verdict {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
