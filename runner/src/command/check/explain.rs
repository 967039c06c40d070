//! What a push would run, and why no other pipeline of the file.
//!
//! From a file and a push to an answer, and from an answer to a page for a person. What is said of each pipeline comes
//! from the language itself; only the picture is made here.

use std::io::{self, Write};

use cofferdam_pipeline::{
    ChangedFiles, Condition, Diagnostic, Explained, JobPlan, Outcome, Plan, Push, Reference,
    Resolution, StepKind, StepPlan, explain, resolve,
};

use crate::command::paint::{Ink, Paint};
use crate::text::printable;

/// Columns that names are lined up in. A longer name pushes what stands behind it.
const NAME_COLUMNS_MAX: usize = 32;

/// Patterns of a condition that are shown; the rest is counted.
const PATTERNS_SHOWN: usize = 3;

/// A push, and what becomes of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) push: Push,
    /// `None`: the file is refused, or nothing is selected.
    pub(super) plan: Option<Plan>,
    pub(super) why_nothing: Option<String>,
    /// All pipelines of the file. Empty if it is refused.
    pub(super) pipelines: Vec<Explained>,
    /// Whether conditions on changed files could be decided.
    pub(super) is_change_known: bool,
}

impl Answer {
    /// Asks the language. A custom pipeline that cannot be started is an error, in a sentence: it was asked for by name,
    /// and there is no other answer.
    pub(super) fn find(
        source: &[u8],
        push: &Push,
        changed: ChangedFiles<'_>,
    ) -> Result<(Self, Vec<Diagnostic>), String> {
        let Resolution {
            outcome,
            mut diagnostics,
        } = resolve(source, push, changed);
        // The answer says the same, step by step.
        diagnostics.retain(|remark| remark.code != "condition-unknown");
        let (plan, why_nothing) = match outcome {
            Outcome::Planned(plan) => (Some(plan), None),
            Outcome::NothingSelected(why) if push.custom.is_some() => return Err(printable(&why)),
            Outcome::NothingSelected(why) => (None, Some(why)),
            Outcome::Invalid => (None, None),
        };
        let answer = Self {
            push: push.clone(),
            plan,
            why_nothing,
            pipelines: explain(source, push, changed),
            is_change_known: matches!(changed, ChangedFiles::Known(_)),
        };
        Ok((answer, diagnostics))
    }

    /// What runs, step by step, and then each pipeline with its reason.
    pub(super) fn write_human(
        &self,
        file: &str,
        paint: Paint,
        output: &mut impl Write,
    ) -> io::Result<()> {
        let asked = asked(&self.push);
        match (&self.plan, &self.why_nothing) {
            (Some(plan), _) => {
                let selected = paint.put(Ink::Good, &printable(&plan.selected));
                writeln!(output, "{file}: {asked} runs {selected}\n")?;
                self.write_steps(plan, paint, output)?;
            }
            (None, why) => {
                let nothing = paint.put(Ink::Bold, "nothing");
                let why = printable(why.as_deref().unwrap_or_default());
                writeln!(output, "{file}: {asked} runs {nothing}. {why}")?;
            }
        }
        if !self.pipelines.is_empty() {
            writeln!(output)?;
        }
        let names: Vec<String> = self
            .pipelines
            .iter()
            .map(|one| printable(&one.pipeline))
            .collect();
        let columns = columns_of(&names);
        for (name, Explained { selected, why, .. }) in names.iter().zip(&self.pipelines) {
            let why = printable(why);
            if *selected {
                let mark = paint.put(Ink::Good, "runs");
                writeln!(output, "  {mark}  {name:columns$}  {why}")?;
            } else {
                let mark = paint.put(Ink::Faint, "no");
                writeln!(output, "  {mark}    {name:columns$}  {why}")?;
            }
        }
        Ok(())
    }

    fn write_steps(&self, plan: &Plan, paint: Paint, output: &mut impl Write) -> io::Result<()> {
        for variable in &plan.variables {
            let (name, value) = (printable(&variable.name), printable(&variable.value));
            writeln!(output, "  {name}={value}")?;
        }
        let steps: Vec<(&JobPlan, &StepPlan)> = plan
            .jobs
            .iter()
            .flat_map(|job| job.steps.iter().map(move |step| (job, step)))
            .collect();
        let names: Vec<String> = steps
            .iter()
            .map(|(_, step)| printable(&step.name))
            .collect();
        let columns = columns_of(&names);
        let digits = steps.len().to_string().len();
        for (number, ((job, step), name)) in steps.iter().zip(&names).enumerate() {
            let beside = self.beside(job, step).join(", ");
            let line = format!("{:digits$}  {name:columns$}  {beside}", number + 1);
            let line = match step.skip {
                Some(_) => paint.put(Ink::Faint, &line),
                None => line,
            };
            writeln!(output, "  {line}")?;
        }
        Ok(())
    }

    /// What is to be known of a step beside its name.
    fn beside(&self, job: &JobPlan, step: &StepPlan) -> Vec<String> {
        let mut words = vec![format!("line {}", step.line)];
        let mut say = |text: String| words.push(text);
        if let Some(why) = &step.skip {
            say(format!("skipped: {}", uncapitalised(&printable(why))));
            return words;
        }
        if let StepKind::Wasm(_) = &step.kind {
            say("wasm".to_owned());
        }
        if let Some(stage) = &job.stage {
            say(format!("stage {}", printable(stage)));
        }
        if let Some(place) = &step.group {
            say(format!("parallel {} of {}", place.place + 1, place.count));
        }
        if step.is_final {
            say("after all others, whatever happened".to_owned());
        }
        if step.manual.is_some() {
            say("waits for a person".to_owned());
        }
        if let Some(deployment) = &step.deployment {
            say(format!("deploys to {}", printable(&deployment.environment)));
        }
        if !job.runs_on.is_empty() {
            say(format!("on {}", printable(&job.runs_on.join("+"))));
        }
        if let (Some(condition), false) = (&step.condition, self.is_change_known) {
            say(if_changed(condition));
        }
        if let StepKind::Unsupported { what, line } = &step.kind {
            say(format!(
                "fails as unsupported: it uses {} (line {line})",
                printable(what)
            ));
        }
        words
    }
}

/// The push in words.
fn asked(push: &Push) -> String {
    let reference = match &push.reference {
        Reference::Branch(name) => format!("branch `{}`", printable(name)),
        Reference::Tag(name) => format!("tag `{}`", printable(name)),
        Reference::PullRequest {
            source,
            destination,
        } => {
            let (source, destination) = (printable(source), printable(destination));
            return format!("a pull request of `{source}` into `{destination}`");
        }
    };
    match &push.custom {
        Some(custom) => format!("asking for `{}` on {reference}", printable(&custom.name)),
        None => format!("a push of {reference}"),
    }
}

fn if_changed(condition: &Condition) -> String {
    let listed = |patterns: &[String]| {
        let shown: Vec<String> = patterns
            .iter()
            .take(PATTERNS_SHOWN)
            .map(|pattern| format!("`{}`", printable(pattern)))
            .collect();
        let more = patterns.len().saturating_sub(PATTERNS_SHOWN);
        let rest = if more > 0 {
            format!(" or {more} more")
        } else {
            String::new()
        };
        shown.join(" or ") + &rest
    };
    let Condition {
        include,
        exclude,
        line: _,
    } = condition;
    if include.is_empty() {
        format!("only if something beside {} changed", listed(exclude))
    } else {
        format!("only if {} changed", listed(include))
    }
}

fn columns_of(names: &[String]) -> usize {
    let longest = names.iter().map(|name| name.chars().count()).max();
    longest.unwrap_or_default().min(NAME_COLUMNS_MAX)
}

/// A sentence as the end of another one.
fn uncapitalised(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
