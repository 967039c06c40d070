//! The pipeline language through its one door.
//!
//! `plans`, `selection` and `mistakes` say what the language means; `hostile` and `anything` hold what it must survive.

mod anything;
mod forms;
mod hostile;
mod migrating;
mod mistakes;
mod plans;
mod selection;
mod variables;

use cofferdam_pipeline::{
    ChangedFiles, JobPlan, Outcome, Plan, Push, Reference, Resolution, StepKind, StepPlan, resolve,
};

/// A push of a branch with an ordinary commit message.
fn branch(name: &str) -> Push {
    Push {
        reference: Reference::Branch(name.to_owned()),
        commit_message: "Add a feature".to_owned(),
        custom: None,
    }
}

fn tag(name: &str) -> Push {
    Push {
        reference: Reference::Tag(name.to_owned()),
        commit_message: "Release".to_owned(),
        custom: None,
    }
}

fn on_main(source: &str) -> Resolution {
    resolve(source.as_bytes(), &branch("main"), ChangedFiles::Unknown)
}

/// What a push of `main` runs, a line for each job and step.
fn plan(source: &str) -> String {
    let Resolution {
        outcome,
        diagnostics,
    } = on_main(source);
    match outcome {
        Outcome::Planned(plan) => outline(&plan),
        Outcome::NothingSelected(why) => why,
        Outcome::Invalid => panic!("{diagnostics:#?}"),
    }
}

fn outline(plan: &Plan) -> String {
    let mut lines = vec![plan.selected.clone()];
    for (index, job) in plan.jobs.iter().enumerate() {
        let JobPlan {
            needs,
            stage,
            runs_on,
            steps,
        } = job;
        let stage = stage
            .as_ref()
            .map(|stage| format!(", stage {stage}"))
            .unwrap_or_default();
        lines.push(format!("job {index} needs {needs:?} on {runs_on:?}{stage}"));
        lines.extend(steps.iter().map(outline_step));
    }
    lines.join("\n")
}

fn outline_step(step: &StepPlan) -> String {
    let minutes = step.max_time_secs / 60;
    let kind = match &step.kind {
        StepKind::Script(script) => {
            let after = if script.after_script.is_empty() {
                String::new()
            } else {
                format!(", then {:?}", script.after_script)
            };
            format!("{} {:?}{after}", script.image.name, script.script)
        }
        StepKind::Wasm(step) => format!("wasm {:?}", step.module),
        StepKind::Unsupported { what, line } => format!("unsupported: {what} in line {line}"),
    };
    format!(
        "  {} {} (line {}, {minutes} min{}): {kind}",
        step.index,
        step.name,
        step.line,
        beside(step)
    )
}

/// What holds a step up or makes it special, as far as the file says anything.
fn beside(step: &StepPlan) -> String {
    let mut words = String::new();
    let mut say = |text: String| {
        words.push_str(", ");
        words.push_str(&text);
    };
    if let Some(group) = &step.group {
        let (place, count) = (group.place + 1, group.count);
        say(format!("branch {place}/{count} of group {}", group.group));
    }
    if step.fail_fast {
        say("fail-fast".to_owned());
    }
    if step.is_final {
        say("final".to_owned());
    }
    if let Some(line) = step.manual {
        say(format!("manual by line {line}"));
    }
    if let Some(deployment) = &step.deployment {
        let (to, line) = (&deployment.environment, deployment.line);
        say(format!("deploys to {to} by line {line}"));
    }
    if let Some(group) = &step.concurrency_group {
        say(format!("one of {} by line {}", group.name, group.line));
    }
    if let Some(condition) = &step.condition {
        say(format!("if changed by line {}", condition.line));
    }
    if let Some(why) = &step.skip {
        say(format!("skipped: {why}"));
    }
    words
}

/// All remarks as a person reads them.
fn remarks(source: &str) -> String {
    let rendered = on_main(source).diagnostics.into_iter();
    let rendered: Vec<String> = rendered
        .map(|diagnostic| diagnostic.render(source.as_bytes(), "p.yml"))
        .collect();
    rendered.join("\n")
}

/// Severity, code and line of each remark.
fn codes(source: &[u8]) -> Vec<String> {
    let diagnostics = resolve(source, &branch("main"), ChangedFiles::Unknown).diagnostics;
    let codes = diagnostics.iter().map(|diagnostic| {
        format!(
            "{:?} {} {}",
            diagnostic.severity, diagnostic.code, diagnostic.span.line
        )
    });
    codes.collect()
}
