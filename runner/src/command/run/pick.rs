//! `--step`: one step of a plan, alone.

use anyhow::bail;
use cofferdam_pipeline::Plan;

use crate::text::printable;

/// Leaves the one step of this name in the plan. Whoever names a manual step starts it by that.
pub(super) fn one_step(mut plan: Plan, name: &str) -> anyhow::Result<Plan> {
    let names: Vec<String> = plan
        .jobs
        .iter()
        .flat_map(|job| job.steps.iter().map(|step| printable(&step.name)))
        .collect();
    let mut found = std::mem::take(&mut plan.jobs)
        .into_iter()
        .filter_map(|mut job| {
            job.steps.retain(|step| step.name == name);
            job.needs.clear();
            (!job.steps.is_empty()).then_some(job)
        });
    let Some(mut job) = found.next() else {
        bail!(
            "there is no step {:?} in {}; there are: {}",
            printable(name),
            printable(&plan.selected),
            names.join(", ")
        );
    };
    if job.steps.len() > 1 || found.next().is_some() {
        bail!("more than one step is called {:?}", printable(name));
    }
    for step in &mut job.steps {
        step.manual = None;
    }
    plan.jobs = vec![job];
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use cofferdam_pipeline::progress::{Outline, Progress};
    use cofferdam_pipeline::{ChangedFiles, Outcome, Push, Reference, resolve};

    use super::*;

    fn plan() -> Plan {
        let file = b"
pipelines:
  default:
    - step: {name: first, script: [a]}
    - step: {name: second, script: [a]}
    - parallel:
        fail-fast: true
        steps:
          - step: {name: left, script: [a]}
          - step: {name: right, script: [a]}
          - step: {name: twice, script: [a]}
    - step: {name: by hand, trigger: manual, script: [a]}
    - step: {name: twice, script: [a]}
    - final: {name: last, script: [a]}
";
        let push = Push {
            reference: Reference::Branch("main".to_owned()),
            commit_message: String::new(),
            custom: None,
        };
        let resolution = resolve(file, &push, ChangedFiles::Unknown);
        match resolution.outcome {
            Outcome::Planned(plan) => plan,
            other => panic!("{other:?} {:?}", resolution.diagnostics),
        }
    }

    #[test]
    fn any_step_can_be_run_alone_and_waits_for_nobody() {
        for name in ["first", "second", "left", "right", "by hand", "last"] {
            let plan = one_step(plan(), name).unwrap();
            let names: Vec<&str> = plan
                .jobs
                .iter()
                .flat_map(|job| job.steps.iter().map(|step| step.name.as_str()))
                .collect();
            assert_eq!(names, [name]);
            let (progress, _) = Progress::new(Outline::from(&plan)).unwrap();
            assert_eq!(progress.ready().len(), 1, "{name}");
        }
    }

    #[test]
    fn a_name_of_none_or_of_two_is_explained() {
        for (name, words) in [
            (
                "third",
                "there are: first, second, left, right, twice, by hand, twice, last",
            ),
            ("twice", "more than one step is called \"twice\""),
        ] {
            let error = one_step(plan(), name).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
