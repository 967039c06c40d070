//! What `migrate` says to scripts: one JSON object. The names and their meaning do not change; new ones may be added.

use std::io::Write;

use cofferdam_pipeline::{
    Elsewhere, ElsewhereKind, Finding, KeyUse, Migration, Need, Severity, Support, VariableUse,
};
use serde::Serialize;

use crate::command::check::json::{JsonRemark, remarks};
use crate::command::pipeline_file::PipelineFile;

#[derive(Debug, Serialize)]
struct JsonMigration<'a> {
    file: &'a str,
    is_refused: bool,
    honoured: Vec<JsonKey<'a>>,
    partly: Vec<JsonFinding<'a>>,
    unsupported: Vec<JsonFinding<'a>>,
    variables: Vec<JsonVariable<'a>>,
    elsewhere: Vec<JsonElsewhere<'a>>,
    remarks: Vec<JsonRemark<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonKey<'a> {
    key: &'a str,
    lines: &'a [u32],
}

#[derive(Debug, Serialize)]
struct JsonFinding<'a> {
    message: &'a str,
    advice: Option<&'a str>,
    lines: &'a [u32],
}

#[derive(Debug, Serialize)]
struct JsonVariable<'a> {
    name: &'a str,
    is_secret: bool,
    need: &'static str,
    environments: &'a [String],
    lines: &'a [u32],
}

#[derive(Debug, Serialize)]
struct JsonElsewhere<'a> {
    kind: &'static str,
    name: Option<&'a str>,
    lines: &'a [u32],
}

pub(super) fn write(
    file: &PipelineFile,
    migration: &Migration,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let Migration {
        diagnostics,
        honoured,
        findings: all,
        variables,
        elsewhere,
    } = migration;
    let json = JsonMigration {
        file: &file.name,
        is_refused: diagnostics
            .iter()
            .any(|remark| remark.severity == Severity::Error),
        honoured: honoured
            .iter()
            .map(|KeyUse { key, lines }| JsonKey { key, lines })
            .collect(),
        partly: findings(all, Support::Partly),
        unsupported: findings(all, Support::Unsupported),
        variables: variables.iter().map(variable).collect(),
        elsewhere: elsewhere.iter().map(thing).collect(),
        remarks: remarks(&file.name, diagnostics),
    };
    serde_json::to_writer_pretty(&mut *output, &json)?;
    writeln!(output)?;
    Ok(())
}

fn findings(all: &[Finding], wanted: Support) -> Vec<JsonFinding<'_>> {
    let such = all.iter().filter(|finding| finding.support == wanted);
    such.map(
        |Finding {
             support: _,
             what,
             advice,
             lines,
         }| JsonFinding {
            message: what,
            advice: advice.as_deref(),
            lines,
        },
    )
    .collect()
}

fn variable(variable: &VariableUse) -> JsonVariable<'_> {
    let VariableUse {
        name,
        is_secret,
        need,
        environments,
        lines,
    } = variable;
    JsonVariable {
        name,
        is_secret: *is_secret,
        need: match need {
            Need::Must => "must",
            Need::HasDefault => "has-default",
            Need::SetLater => "set-later",
            Need::MayBeIncluded => "may-be-included",
            Need::OfImages => "of-images",
        },
        environments,
        lines,
    }
}

fn thing(thing: &Elsewhere) -> JsonElsewhere<'_> {
    let Elsewhere { kind, name, lines } = thing;
    JsonElsewhere {
        kind: match kind {
            ElsewhereKind::DeploymentEnvironment => "deployment-environment",
            ElsewhereKind::RunnerLabel => "runner-label",
            ElsewhereKind::SshKey => "ssh-key",
            ElsewhereKind::Oidc => "oidc",
            ElsewhereKind::Service => "service",
            ElsewhereKind::ContainerEngine => "container-engine",
            ElsewhereKind::Pipe => "pipe",
            ElsewhereKind::BitbucketVariable => "bitbucket-variable",
            ElsewhereKind::Custom => "custom",
        },
        name: (!name.is_empty()).then_some(name),
        lines,
    }
}
