//! How a step of a local build ended, in the words that people read. The one place where ends become words.

use cofferdam_pipeline::Plan;
use cofferdam_pipeline::StepKind;
use cofferdam_pipeline::progress::{
    BuildEnd, NotRunReason, StepEnd, StepOutcome, StepPlace, StopCause,
};
use cofferdam_protocol::report::StepResult;

use crate::text::printable;
use crate::view::{Outcome, Row, RunState};

/// How the progress is told of a step's end, and the executor's words if it did not pass.
pub(super) fn told(kind: &StepKind, result: &StepResult) -> (StepOutcome, String) {
    match result {
        StepResult::Passed => (StepOutcome::Passed, String::new()),
        // The executor says in words what the status says, for those who see only the words.
        StepResult::Failed {
            exit: Some(exit),
            why,
        } if *why == format!("exit status {exit}") => {
            (StepOutcome::Failed { exit: Some(*exit) }, String::new())
        }
        StepResult::Failed { exit, why } => (StepOutcome::Failed { exit: *exit }, why.clone()),
        StepResult::Error { blame: _, why } if matches!(kind, StepKind::Unsupported { .. }) => {
            (StepOutcome::Unsupported, why.clone())
        }
        StepResult::Error { blame: _, why } => (StepOutcome::Error, why.clone()),
        StepResult::Cancelled | StepResult::NotRun => (StepOutcome::Cancelled, String::new()),
    }
}

/// A step's end as the view shows it. `why` is what its executor said.
pub(super) fn shown(plan: &Plan, at: StepPlace, end: StepEnd, why: String) -> Outcome {
    let step = &plan.jobs[at.job.0].steps[at.step];
    let name = |at: StepPlace| {
        let step = plan
            .jobs
            .get(at.job.0)
            .and_then(|job| job.steps.get(at.step));
        step.map_or_else(
            || at.to_string(),
            |step| format!("{:?}", printable(&step.name)),
        )
    };
    match end {
        StepEnd::Passed => Outcome::Passed,
        StepEnd::Failed { exit } => Outcome::Failed {
            exit: exit.map(i32::from),
            why,
        },
        StepEnd::TimedOut | StepEnd::Limit => Outcome::Failed { exit: None, why },
        StepEnd::Error => Outcome::Error { why },
        StepEnd::Unsupported => match &step.kind {
            StepKind::Unsupported { what, line } => Outcome::Unsupported {
                what: what.clone(),
                line: *line,
            },
            StepKind::Script(_) | StepKind::Wasm(_) => Outcome::Error { why },
        },
        StepEnd::Cancelled {
            by: Some(StopCause::FailFast { step }),
        } => Outcome::Cancelled {
            why: format!("{} failed, and its group fails fast", name(step)),
        },
        StepEnd::Cancelled { by: _ } => Outcome::Cancelled { why: String::new() },
        StepEnd::Skipped => Outcome::Skipped {
            why: step.skip.clone().unwrap_or_default(),
        },
        StepEnd::NotRun(reason) => match reason {
            NotRunReason::EarlierStepFailed { step } => Outcome::NotRun {
                why: format!("{} did not pass", name(step)),
            },
            NotRunReason::FailFast { step } => Outcome::NotRun {
                why: format!("{} failed, and its group fails fast", name(step)),
            },
            NotRunReason::BuildCancelled => Outcome::NotRun {
                why: "the run was cancelled".to_owned(),
            },
            NotRunReason::ManualDeclined { step } if step == at => Outcome::Skipped {
                why: "it is started by hand, and nobody did".to_owned(),
            },
            NotRunReason::ManualDeclined { step } => Outcome::NotRun {
                why: format!("{} was not started", name(step)),
            },
        },
    }
}

pub(super) fn state(end: BuildEnd) -> RunState {
    match end {
        BuildEnd::Passed => RunState::Passed,
        BuildEnd::Cancelled => RunState::Cancelled,
        BuildEnd::Error => RunState::Error,
        BuildEnd::Failed => RunState::Failed,
    }
}

/// Every step of a plan, in its order.
pub fn rows(plan: &Plan) -> Vec<Row> {
    let steps = plan
        .jobs
        .iter()
        .flat_map(|job| job.steps.iter().map(move |step| (job, step)));
    steps
        .map(|(job, step)| Row {
            index: step.index,
            name: step.name.clone(),
            stage: job.stage.clone(),
            group: step.group.map(|place| place.group),
            what: match &step.kind {
                StepKind::Script(script) => format!("container {}", script.image.name),
                StepKind::Wasm(_) => "wasm".to_owned(),
                StepKind::Unsupported { .. } => "unsupported".to_owned(),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use cofferdam_pipeline::progress::JobIndex;
    use cofferdam_pipeline::{ChangedFiles, Outcome as Resolved, Push, Reference, resolve};
    use cofferdam_protocol::report::Blame;

    use super::*;

    fn plan() -> Plan {
        let file = b"
pipelines:
  default:
    - parallel:
        fail-fast: true
        steps:
          - step: {name: one, script: [a]}
          - step: {name: two, script: [a]}
";
        let push = Push {
            reference: Reference::Branch("main".to_owned()),
            commit_message: String::new(),
            custom: None,
        };
        match resolve(file, &push, ChangedFiles::Unknown).outcome {
            Resolved::Planned(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    fn place(job: usize) -> StepPlace {
        StepPlace {
            job: JobIndex(job),
            step: 0,
        }
    }

    #[test]
    fn a_step_that_ran_and_was_stopped_is_cancelled_and_one_that_never_began_is_not_run() {
        let step = place(0);
        let cancelled = |why: &str| Outcome::Cancelled {
            why: why.to_owned(),
        };
        let not_run = |why: &str| Outcome::NotRun {
            why: why.to_owned(),
        };
        for (end, expected) in [
            (
                StepEnd::Cancelled {
                    by: Some(StopCause::FailFast { step }),
                },
                cancelled("\"one\" failed, and its group fails fast"),
            ),
            (
                StepEnd::Cancelled {
                    by: Some(StopCause::BuildCancelled),
                },
                cancelled(""),
            ),
            (
                StepEnd::NotRun(NotRunReason::FailFast { step }),
                not_run("\"one\" failed, and its group fails fast"),
            ),
            (
                StepEnd::NotRun(NotRunReason::BuildCancelled),
                not_run("the run was cancelled"),
            ),
        ] {
            assert_eq!(shown(&plan(), place(1), end, String::new()), expected);
        }
    }

    #[test]
    fn a_status_is_not_said_again_in_words() {
        let failed = |exit, why: &str| StepResult::Failed {
            exit,
            why: why.to_owned(),
        };
        let error = StepResult::Error {
            blame: Blame::User,
            why: "no".to_owned(),
        };
        let plan = plan();
        let kind = &plan.jobs[0].steps[0].kind;
        for (result, expected) in [
            (failed(Some(3), "exit status 3"), ""),
            (failed(Some(3), "exit status 4"), "exit status 4"),
            (failed(None, "timed out after 3 s"), "timed out after 3 s"),
            (error, "no"),
        ] {
            assert_eq!(told(kind, &result).1, expected, "{result:?}");
        }
    }
}
