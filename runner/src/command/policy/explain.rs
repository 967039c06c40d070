//! `cofferdam policy explain`: for each step of a pipeline, asked, given, and which line decided.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use cofferdam_pipeline::{ChangedFiles, Outcome, Plan, Resolution, StepKind, StepPlan, resolve};
use cofferdam_protocol::job_spec::Trust;
use serde_json::{Value, json};

use super::show::line;
use super::wants::wants;
use super::{CommonArgs, Format, TrustLevel, origin};
use crate::ceiling::{Decision, Given, Refusal, name_of, weigh};
use crate::command::check::checked_out;
use crate::command::paint::{Ink, Paint};
use crate::command::pipeline_file::{PipelineFile, named_or_own};
use crate::command::pushed::PushArgs;
use crate::config::{Config, Environment};
use crate::text::printable;

/// Columns that names are lined up in. A longer one pushes what stands behind it.
const COLUMNS_MAX: usize = 44;

#[derive(Debug, Args)]
pub(in crate::command) struct ExplainArgs {
    /// The pipeline file, `-` for standard input [default: the repository's own: cofferdam.yml, else
    /// bitbucket-pipelines.yml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Only the steps of this name
    #[arg(long, value_name = "NAME")]
    step: Option<String>,

    /// How far the build is trusted
    #[arg(long, value_name = "TRUST", default_value = "trusted")]
    trust: TrustLevel,

    #[command(flatten)]
    common: CommonArgs,

    #[command(flatten, next_help_heading = "Which push is explained")]
    push: PushArgs,
}

/// A step and what becomes of what it asks for.
struct Weighed {
    name: String,
    line: u32,
    /// Why this version cannot run it anywhere, if it cannot.
    unsupported: Option<String>,
    decisions: Vec<Decision>,
}

impl Weighed {
    fn of(step: &StepPlan, config: &Config, trust: Trust) -> Self {
        let unsupported = match &step.kind {
            StepKind::Unsupported { what, line } => Some(format!("it uses {what} (line {line})")),
            StepKind::Script(_) | StepKind::Wasm(_) => None,
        };
        let decisions = wants(step).map(|asked| weigh(&asked, &config.ceiling, trust).1);
        let mut decisions = decisions.unwrap_or_default();
        for decision in &mut decisions {
            let is_cut = decision.subject == "network" && !config.has_container_network;
            if is_cut && decision.given == Given::All("engine".to_owned()) {
                // The ceiling would allow it, and the configuration has none to give.
                decision.given = Given::Less("none".to_owned());
                "container.network".clone_into(&mut decision.key);
            }
        }
        Self {
            name: step.name.clone(),
            line: step.line,
            unsupported,
            decisions,
        }
    }

    fn refusals(&self) -> Vec<Refusal> {
        let decisions = self.decisions.iter().cloned();
        decisions.filter_map(Decision::refusal).collect()
    }

    fn may_run(&self) -> bool {
        self.unsupported.is_none() && self.refusals().is_empty()
    }
}

pub(super) fn run(args: &ExplainArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let config = args.common.config(environment)?;
    let here = std::env::current_dir().context("this directory is gone")?;
    let named: Vec<PathBuf> = args.file.iter().cloned().collect();
    let path = named_or_own(&named, &here)?.remove(0);
    let file = PipelineFile::read(&path).map_err(anyhow::Error::msg)?;
    let plan = plan(args, &file, environment)?;
    let trust = Trust::from(args.trust);
    let steps: Vec<Weighed> = plan
        .jobs
        .iter()
        .flat_map(|job| &job.steps)
        .filter(|step| args.step.as_ref().is_none_or(|name| *name == step.name))
        .map(|step| Weighed::of(step, &config, trust))
        .collect();
    if let (Some(name), true) = (&args.step, steps.is_empty()) {
        let (name, selected) = (printable(name), printable(&plan.selected));
        bail!("there is no step {name:?} in {selected}");
    }
    let mut output = io::stdout().lock();
    let name = printable(&file.name);
    match args.common.format {
        Format::Json => {
            let file = config.file.as_ref().map(|path| path.display().to_string());
            let steps: Vec<Value> = steps.iter().map(to_json).collect();
            let (pipeline, trust) = (&plan.selected, name_of(trust));
            let answer = json!({
                "pipeline_file": name,
                "pipeline": pipeline,
                "trust": trust,
                "runner_toml": file,
                "steps": steps,
            });
            writeln!(output, "{answer:#}")?;
        }
        Format::Human => {
            let (selected, trust) = (printable(&plan.selected), name_of(trust));
            writeln!(output, "{name}: {selected}, as {trust}")?;
            writeln!(output, "under the ceiling {}", origin(&config))?;
            let paint = Paint::of_stdout(environment);
            for step in &steps {
                human(step, paint, &mut output)?;
            }
        }
    }
    Ok(if steps.iter().all(Weighed::may_run) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the push starts. What is wrong with the file goes to standard error, as a compiler would print it.
fn plan(
    args: &ExplainArgs,
    file: &PipelineFile,
    environment: &Environment,
) -> anyhow::Result<Plan> {
    let branch = if args.push.needs_checked_out() {
        checked_out(environment)?
    } else {
        None
    };
    // Any branch does where nothing is checked out: `default` is what most pushes start.
    let push = args.push.push(Some(branch.as_deref().unwrap_or("main")))?;
    let Resolution {
        outcome,
        diagnostics,
    } = resolve(&file.source, &push, ChangedFiles::Unknown);
    match outcome {
        Outcome::Planned(plan) => Ok(plan),
        Outcome::NothingSelected(why) => bail!("nothing would run: {}", printable(&why)),
        Outcome::Invalid => {
            for remark in &diagnostics {
                writeln!(io::stderr(), "{}", remark.render(&file.source, &file.name))?;
            }
            bail!("{} cannot be used", printable(&file.name))
        }
    }
}

fn human(step: &Weighed, paint: Paint, output: &mut impl Write) -> io::Result<()> {
    let name = paint.put(Ink::Bold, &printable(&step.name));
    let verdict = if step.may_run() {
        paint.put(Ink::Good, "may run")
    } else {
        paint.put(Ink::Bad, "may not run")
    };
    writeln!(output, "\n{name} (line {}) {verdict}", step.line)?;
    if let Some(why) = &step.unsupported {
        let why = printable(why);
        return writeln!(output, "  no runner of this version can run it: {why}");
    }
    let rows: Vec<[String; 4]> = step.decisions.iter().map(row).collect();
    let titles = ["", "asked", "given", "decided by"].map(str::to_owned);
    let width = |column: usize| {
        let all = rows.iter().chain(std::iter::once(&titles));
        let widths = all.map(|row| row[column].chars().count());
        widths.max().unwrap_or_default().min(COLUMNS_MAX)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |[subject, asked, given, by]: &[String; 4]| {
        let [one, two, three] = widths;
        format!("  {subject:one$}  {asked:two$}  {given:three$}  {by}")
    };
    writeln!(output, "{}", paint.put(Ink::Faint, &line(&titles)))?;
    for (row, decision) in rows.iter().zip(&step.decisions) {
        let line = match decision.given {
            Given::All(_) => line(row),
            Given::Less(_) => paint.put(Ink::Warning, &line(row)),
            Given::Refused(_) => paint.put(Ink::Bad, &line(row)),
        };
        writeln!(output, "{}", line.trim_end())?;
    }
    for refusal in step.refusals() {
        writeln!(output, "  {}", printable(&refusal.to_string()))?;
    }
    Ok(())
}

fn row(decision: &Decision) -> [String; 4] {
    let Decision {
        subject,
        asked,
        line,
        given,
        key,
        by,
    } = decision;
    let at = line
        .map(|line| format!(" (line {line})"))
        .unwrap_or_default();
    let asked = match asked {
        Some(asked) => printable(asked) + &at,
        None => "–".to_owned(),
    };
    let given = match given {
        Given::All(given) | Given::Less(given) => printable(given),
        Given::Refused(_) => "refused".to_owned(),
    };
    [(*subject).to_owned(), asked, given, format!("{by}: {key}")]
}

fn to_json(step: &Weighed) -> Value {
    let decisions = step.decisions.iter().map(|decision| {
        let Decision {
            subject,
            asked,
            line: asked_at,
            given,
            key,
            by,
        } = decision;
        let (outcome, given, why) = match given {
            Given::All(given) => ("granted", Some(given), None),
            Given::Less(given) => ("lowered", Some(given), None),
            Given::Refused(why) => ("refused", None, Some(why)),
        };
        json!({
            "subject": subject,
            "asked": asked,
            "line": asked_at,
            "outcome": outcome,
            "given": given,
            "why": why,
            "key": key,
            "runner_toml_line": line(*by),
        })
    });
    json!({
        "name": step.name,
        "line": step.line,
        "may_run": step.may_run(),
        "unsupported": step.unsupported,
        "decisions": decisions.collect::<Vec<Value>>(),
    })
}
