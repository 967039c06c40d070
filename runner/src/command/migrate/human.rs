//! What `migrate` says to a person: a page with what is to be done first.
//!
//! Text of the file is made harmless here, once, before it is put into a line.

use std::io::{self, Write};

use cofferdam_pipeline::{
    Elsewhere, ElsewhereKind, Finding, KeyUse, Migration, Need, Severity, Support, VariableUse,
};

use crate::command::paint::{Ink, Paint, counted};
use crate::command::pipeline_file::PipelineFile;
use crate::text::printable;

/// Line numbers that are shown for one thing; the rest is counted. More make a row of digits that nobody reads.
const LINES_SHOWN: usize = 5;

/// Columns that names are lined up in. A longer name pushes what stands behind it.
const NAME_COLUMNS_MAX: usize = 32;

/// Columns of the list of honoured keys.
const LIST_COLUMNS_MAX: usize = 100;

pub(super) fn write(
    file: &PipelineFile,
    migration: &Migration,
    paint: Paint,
    output: &mut dyn Write,
) -> io::Result<()> {
    let Migration {
        diagnostics,
        honoured,
        findings,
        variables,
        elsewhere,
    } = migration;
    let name = printable(&file.name);
    let is_error = |severity| severity == Severity::Error;
    let errors = diagnostics.iter().filter(|one| is_error(one.severity));
    let count = errors.clone().count();
    if count > 0 {
        for remark in errors {
            writeln!(output, "{}", paint.remark(remark, &file.source, &file.name))?;
        }
        let errors = paint.put(Ink::Bad, &counted(count, "error"));
        return writeln!(
            output,
            "{name}: refused, {errors}; the list comes when they are mended"
        );
    }
    let of = |support| findings.iter().filter(move |one| one.support == support);
    let musts = variables
        .iter()
        .filter(|one| one.need == Need::Must)
        .count();
    let unsupported = of(Support::Unsupported).count();
    let ink = if unsupported == 0 {
        Ink::Good
    } else {
        Ink::Warning
    };
    let unsupported_told = paint.put(ink, &format!("{unsupported} unsupported"));
    let keys = counted(honoured.len(), "key");
    let partly = of(Support::Partly).count();
    writeln!(
        output,
        "{name}: {keys} honoured, {partly} in part, {unsupported_told}; {musts} to be set"
    )?;
    let mut page = Page { paint, output };
    page.findings(
        "Unsupported: the step fails when its turn comes",
        of(Support::Unsupported),
    )?;
    page.findings("In part: the build is right without", of(Support::Partly))?;
    page.variables(variables)?;
    page.elsewhere(elsewhere)?;
    page.honoured(honoured)
}

struct Page<'o> {
    paint: Paint,
    output: &'o mut dyn Write,
}

impl Page<'_> {
    fn head(&mut self, words: &str) -> io::Result<()> {
        let words = self.paint.put(Ink::Bold, words);
        writeln!(self.output, "\n{words}")
    }

    fn findings<'f>(
        &mut self,
        head: &str,
        findings: impl Iterator<Item = &'f Finding>,
    ) -> io::Result<()> {
        let mut findings = findings.peekable();
        if findings.peek().is_some() {
            self.head(head)?;
        }
        for Finding {
            support: _,
            what,
            advice,
            lines,
        } in findings
        {
            let (what, lines) = (printable(what), lines_of(lines));
            writeln!(self.output, "  {what} ({lines})")?;
            if let Some(advice) = advice {
                writeln!(self.output, "    → {}", printable(advice))?;
            }
        }
        Ok(())
    }

    fn variables(&mut self, variables: &[VariableUse]) -> io::Result<()> {
        let such = |is_secret: bool, must: bool| {
            variables
                .iter()
                .filter(move |one| one.is_secret == is_secret && (one.need == Need::Must) == must)
                .collect::<Vec<_>>()
        };
        let secrets = such(true, true);
        let plain = such(false, true);
        let mut maybe = such(true, false);
        maybe.extend(such(false, false));
        for (head, variables) in [
            ("To be set as secrets", secrets),
            ("To be set as variables", plain),
            ("Perhaps to be set", maybe),
        ] {
            if variables.is_empty() {
                continue;
            }
            self.head(head)?;
            let columns = columns_of(variables.iter().map(|one| one.name.as_str()));
            for variable in variables {
                self.variable(variable, columns)?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &VariableUse, columns: usize) -> io::Result<()> {
        let VariableUse {
            name,
            is_secret: _,
            need,
            environments,
            lines,
        } = variable;
        let mut words = vec![lines_of(lines)];
        words.extend(match need {
            Need::Must => None,
            Need::HasDefault => Some("the script has a default".to_owned()),
            Need::SetLater => Some("the script sets it later".to_owned()),
            Need::MayBeIncluded => Some("a file that the script reads may set it".to_owned()),
            Need::OfImages => Some("the image may set it".to_owned()),
        });
        if !environments.is_empty() {
            let environments = printable(&environments.join(", "));
            words.push(format!("only for deployments to {environments}"));
        }
        let (name, words) = (printable(name), words.join("; "));
        writeln!(self.output, "  {name:columns$}  {words}")
    }

    fn elsewhere(&mut self, things: &[Elsewhere]) -> io::Result<()> {
        if things.is_empty() {
            return Ok(());
        }
        self.head("Not in the file: to be made anew, or done without")?;
        let mut last = None;
        for Elsewhere { kind, name, lines } in things {
            let (what, todo) = words_of(*kind);
            if last != Some(*kind) {
                last = Some(*kind);
                writeln!(self.output, "  {what}: {todo}")?;
            }
            let (name, lines) = (printable(name), lines_of(lines));
            let between = if name.is_empty() { "" } else { "  " };
            writeln!(self.output, "    {name}{between}{lines}")?;
        }
        Ok(())
    }

    fn honoured(&mut self, keys: &[KeyUse]) -> io::Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.head("Honoured as it is")?;
        let mut line = String::from(" ");
        for KeyUse { key, lines: _ } in keys {
            if line.len() + key.len() > LIST_COLUMNS_MAX {
                writeln!(self.output, "{line}")?;
                line = String::from(" ");
            }
            line.extend([" ", key]);
        }
        writeln!(self.output, "{line}")
    }
}

/// What a thing is called, and what is to be done about it.
fn words_of(kind: ElsewhereKind) -> (&'static str, &'static str) {
    match kind {
        ElsewhereKind::DeploymentEnvironment => (
            "deployment environments",
            "they need no making; give each its variables",
        ),
        ElsewhereKind::RunnerLabel => (
            "runner labels",
            "a runner takes such a step only if it carries all of its labels",
        ),
        ElsewhereKind::SshKey => (
            "SSH keys and known hosts",
            "keep the key as a secret, and write both below ~/.ssh in the script",
        ),
        ElsewhereKind::Oidc => ("OIDC tokens", "give the step a secret instead"),
        ElsewhereKind::Service => (
            "services",
            "an image for each, which the runner's container engine can fetch",
        ),
        ElsewhereKind::ContainerEngine => (
            "a container engine for scripts",
            "a step never gets the runner's own",
        ),
        ElsewhereKind::Pipe => ("pipes", "their images come from another registry"),
        ElsewhereKind::BitbucketVariable => (
            "variables that only Bitbucket sets",
            "do without, or set them yourself",
        ),
        ElsewhereKind::Custom => (
            "custom pipelines",
            "a schedule that starts one is not in the file",
        ),
    }
}

/// `line 4`, `lines 4, 9 and 3 more`.
fn lines_of(lines: &[u32]) -> String {
    let shown: Vec<String> = lines
        .iter()
        .take(LINES_SHOWN)
        .map(ToString::to_string)
        .collect();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    let more = match lines.len().saturating_sub(LINES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{noun} {}{more}", shown.join(", "))
}

fn columns_of<'n>(names: impl Iterator<Item = &'n str>) -> usize {
    let longest = names.map(|name| name.chars().count()).max();
    longest.unwrap_or_default().min(NAME_COLUMNS_MAX)
}
