//! What `check` says to editors and scripts. The names and their meaning do not change; new ones may be added.

use std::collections::BTreeMap;
use std::io::Write;

use cofferdam_pipeline::{
    CustomStart, Diagnostic, Explained, JobPlan, Plan, Push, Reference, Severity, Span, StepKind,
    StepPlan,
};
use serde::Serialize;

use super::Checked;
use super::explain::Answer;

/// Without `--explain` one array with all remarks of all files, with it one array with an object for each file.
pub(super) fn write(
    checked: &[Checked],
    is_explained: bool,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    if is_explained {
        let files: Vec<JsonAnswer<'_>> = checked.iter().filter_map(answer).collect();
        serde_json::to_writer_pretty(&mut *output, &files)?;
    } else {
        let all: Vec<JsonRemark<'_>> = checked
            .iter()
            .flat_map(|one| remarks(&one.file.name, &one.diagnostics))
            .collect();
        serde_json::to_writer_pretty(&mut *output, &all)?;
    }
    writeln!(output)?;
    Ok(())
}

/// One remark for an editor.
#[derive(Debug, Serialize)]
pub(in crate::command) struct JsonRemark<'a> {
    file: &'a str,
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
}

/// The remarks of one file.
pub(in crate::command) fn remarks<'a>(
    file: &'a str,
    diagnostics: &'a [Diagnostic],
) -> Vec<JsonRemark<'a>> {
    diagnostics.iter().map(|one| remark(file, one)).collect()
}

fn remark<'a>(file: &'a str, remark: &'a Diagnostic) -> JsonRemark<'a> {
    let Diagnostic {
        severity,
        code,
        span,
        message,
        help,
    } = remark;
    let Span {
        line,
        column,
        end_line,
        end_column,
    } = *span;
    JsonRemark {
        file,
        severity: match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        code,
        message,
        help: help.as_deref(),
        line,
        column,
        end_line,
        end_column,
    }
}

#[derive(Debug, Serialize)]
struct JsonAnswer<'a> {
    file: &'a str,
    push: JsonPush<'a>,
    selected: Option<&'a str>,
    why_nothing: Option<&'a str>,
    pipelines: Vec<JsonPipeline<'a>>,
    steps: Vec<JsonStep<'a>>,
    remarks: Vec<JsonRemark<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonPush<'a> {
    branch: Option<&'a str>,
    tag: Option<&'a str>,
    pull_request: Option<JsonPullRequest<'a>>,
    custom: Option<&'a str>,
    variables: BTreeMap<&'a str, &'a str>,
}

#[derive(Debug, Serialize)]
struct JsonPullRequest<'a> {
    source: &'a str,
    destination: &'a str,
}

#[derive(Debug, Serialize)]
struct JsonPipeline<'a> {
    pipeline: &'a str,
    selected: bool,
    why: &'a str,
}

#[derive(Debug, Serialize)]
struct JsonStep<'a> {
    name: &'a str,
    line: u32,
    kind: &'static str,
    /// What the step uses that this version cannot do.
    unsupported: Option<&'a str>,
    job: usize,
    needs: &'a [usize],
    stage: Option<&'a str>,
    parallel_group: Option<u16>,
    runs_on: &'a [String],
    is_manual: bool,
    is_final: bool,
    deployment: Option<&'a str>,
    condition: Option<JsonCondition<'a>>,
    skipped: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct JsonCondition<'a> {
    include: &'a [String],
    exclude: &'a [String],
    line: u32,
}

fn answer(one: &Checked) -> Option<JsonAnswer<'_>> {
    let Answer {
        push,
        plan,
        why_nothing,
        pipelines,
        is_change_known: _,
    } = one.answer.as_ref()?;
    Some(JsonAnswer {
        file: &one.file.name,
        push: json_push(push),
        selected: plan.as_ref().map(|plan| plan.selected.as_str()),
        why_nothing: why_nothing.as_deref(),
        pipelines: pipelines
            .iter()
            .map(
                |Explained {
                     pipeline,
                     selected,
                     why,
                 }| JsonPipeline {
                    pipeline,
                    selected: *selected,
                    why,
                },
            )
            .collect(),
        steps: plan.as_ref().map(steps).unwrap_or_default(),
        remarks: remarks(&one.file.name, &one.diagnostics),
    })
}

fn json_push(push: &Push) -> JsonPush<'_> {
    let Push {
        reference,
        commit_message: _,
        custom,
    } = push;
    let mut json = JsonPush {
        branch: None,
        tag: None,
        pull_request: None,
        custom: None,
        variables: BTreeMap::new(),
    };
    match reference {
        Reference::Branch(name) => json.branch = Some(name),
        Reference::Tag(name) => json.tag = Some(name),
        Reference::PullRequest {
            source,
            destination,
        } => {
            json.pull_request = Some(JsonPullRequest {
                source,
                destination,
            });
        }
    }
    if let Some(CustomStart { name, variables }) = custom {
        json.custom = Some(name);
        json.variables = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
    }
    json
}

fn steps(plan: &Plan) -> Vec<JsonStep<'_>> {
    let jobs = plan.jobs.iter().enumerate();
    let of_jobs =
        jobs.flat_map(|(number, job)| job.steps.iter().map(move |one| step(number, job, one)));
    of_jobs.collect()
}

fn step<'a>(number: usize, job: &'a JobPlan, step: &'a StepPlan) -> JsonStep<'a> {
    let JobPlan {
        needs,
        stage,
        runs_on,
        steps: _,
    } = job;
    let (kind, unsupported) = match &step.kind {
        StepKind::Script(_) => ("script", None),
        StepKind::Wasm(_) => ("wasm", None),
        StepKind::Unsupported { what, line: _ } => ("unsupported", Some(what.as_str())),
    };
    JsonStep {
        name: &step.name,
        line: step.line,
        kind,
        unsupported,
        job: number,
        needs,
        stage: stage.as_deref(),
        parallel_group: step.group.map(|place| place.group),
        runs_on,
        is_manual: step.manual.is_some(),
        is_final: step.is_final,
        deployment: step.deployment.as_ref().map(|one| one.environment.as_str()),
        condition: step.condition.as_ref().map(|one| JsonCondition {
            include: &one.include,
            exclude: &one.exclude,
            line: one.line,
        }),
        skipped: step.skip.as_deref(),
    }
}
