//! Plays a case: the same steps as modules and as scripts, with the values that its source gives.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::Laptop;
use cofferdam_tests::engine::IMAGE;

/// What the steps are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Wasm,
    Script,
}

/// One thing that a step does. Each fails as its programs do: with status 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Prints a file of the workspace.
    Read(&'static str),
    /// Writes a text to a file.
    Write(&'static str, &'static str),
    /// Writes a text to a file whose directory must be made first.
    WriteBelow(&'static str, &'static str, &'static str),
    /// Prints its environment.
    Environment,
    /// Waits far longer than a run of these cases takes.
    Wait,
}

/// A step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// More keys of the step, each `key: flow value`.
    pub(crate) keys: &'static [&'static str],
    pub(crate) does: Does,
}

/// An item of the pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    One(Step),
    Parallel(&'static [Step]),
    /// A parallel group with `fail-fast: true`.
    FailFast(&'static [Step]),
}

/// What must be true after a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// The step passed, and its log has this text.
    Printed(&'static str, &'static str),
    /// The step failed, and its log lacks this text.
    FailedWithout(&'static str, &'static str),
    /// The step failed, and its log has this text.
    FailedWith(&'static str, &'static str),
    /// The step did not pass, because another one failed.
    Stopped(&'static str),
    /// The step never began.
    NeverBegan(&'static str),
    /// The user finds this file below `.cofferdam/artifacts`, with this content.
    Left(&'static str, &'static str),
    /// There is no such file.
    NotLeft(&'static str),
}

/// One run: what somebody changes before it, and what must be true after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Of `cofferdam run`.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) edits: &'static [(&'static str, &'static str)],
    pub(crate) items: &'static [Item],
    pub(crate) then: &'static [Then],
}

/// Runs after each other in one work tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) about: &'static str,
    /// The page that says so.
    pub(crate) source: &'static str,
    /// `definitions`, as a flow mapping.
    pub(crate) definitions: &'static str,
    pub(crate) runs: &'static [Run],
}

/// Plays every run of the case and holds it to what its source says.
pub(crate) fn play(case: &Case, form: Form) -> Result<()> {
    let laptop = Laptop::new()?;
    for guest in ["fs", "hello", "sleep"] {
        laptop.add_guest(guest)?;
    }
    laptop
        .repository
        .write("dist/committed", "from the commit")?;
    laptop.repository.write("bitbucket-pipelines.yml", "")?;
    laptop.repository.commit("Begin")?;
    for (number, run) in case.runs.iter().enumerate() {
        let about = format!("{} ({}), run {}", case.about, case.source, number + 1);
        for (path, text) in run.edits {
            laptop.repository.write(path, text)?;
        }
        let file = pipeline(case.definitions, run.items, form);
        laptop.repository.write("bitbucket-pipelines.yml", &file)?;
        let ran = laptop.run(&[&["run", "--plain"], run.arguments].concat())?;
        let said = format!("{about}\n{file}\n{}\n{}", ran.shown, ran.complained);
        let fails = run
            .then
            .iter()
            .any(|then| matches!(then, Then::FailedWithout(..) | Then::FailedWith(..)));
        ensure!(
            ran.status == i32::from(fails),
            "status {}: {said}",
            ran.status
        );
        for then in run.then {
            hold(&laptop, *then).with_context(|| said.clone())?;
        }
    }
    Ok(())
}

fn hold(laptop: &Laptop, then: Then) -> Result<()> {
    match then {
        Then::Printed(step, text) => {
            let log = laptop.log(step)?;
            ensure!(
                log.contains(text) && log.ends_with("passed\n"),
                "{then:?}: {log}"
            );
        }
        Then::FailedWithout(step, text) => {
            let log = laptop.log(step)?;
            ensure!(
                !log.contains(text) && log.contains("failed: "),
                "{then:?}: {log}"
            );
        }
        Then::FailedWith(step, text) => {
            let log = laptop.log(step)?;
            ensure!(
                log.contains(text) && log.contains("failed: "),
                "{then:?}: {log}"
            );
        }
        Then::Stopped(step) => {
            // It may not have begun when the other one failed.
            let log = laptop.log(step).unwrap_or_default();
            ensure!(!log.ends_with("passed\n"), "{then:?}: {log}");
        }
        Then::NeverBegan(step) => {
            let log = laptop.log(step);
            ensure!(log.is_err(), "{then:?}: {log:?}");
        }
        Then::Left(path, text) => {
            let found = fs::read_to_string(laptop.path(&format!(".cofferdam/artifacts/{path}")))
                .with_context(|| format!("{then:?}"))?;
            ensure!(found == text, "{then:?}: {found:?}");
        }
        Then::NotLeft(path) => {
            let path = laptop.path(&format!(".cofferdam/artifacts/{path}"));
            ensure!(!path.exists(), "{then:?}");
        }
    }
    Ok(())
}

fn pipeline(definitions: &str, items: &[Item], form: Form) -> String {
    let mut file = String::new();
    if !definitions.is_empty() {
        let _infallible = writeln!(file, "definitions: {definitions}");
    }
    file.push_str("pipelines:\n  default:\n");
    for item in items {
        match item {
            Item::One(step) => write_step(&mut file, step, form, "    "),
            Item::Parallel(steps) | Item::FailFast(steps) => {
                let is_fast = matches!(item, Item::FailFast(_));
                let _infallible = write!(
                    file,
                    "    - parallel:\n        fail-fast: {is_fast}\n        steps:\n"
                );
                for step in *steps {
                    write_step(&mut file, step, form, "          ");
                }
            }
        }
    }
    file
}

fn write_step(file: &mut String, step: &Step, form: Form, indent: &str) {
    let Step { name, keys, does } = step;
    let mut lines = vec![format!("name: {name}")];
    lines.extend(keys.iter().map(|key| (*key).to_owned()));
    match form {
        Form::Script => {
            lines.push(format!("image: {IMAGE}"));
            let script = match does {
                Does::Read(path) => format!("cat {path}"),
                Does::Write(path, text) => format!("printf %s '{text}' > {path}"),
                Does::WriteBelow(dir, path, text) => {
                    format!("mkdir {dir} && printf %s '{text}' > {path}")
                }
                Does::Environment => "env".to_owned(),
                Does::Wait => "sleep 50".to_owned(),
            };
            lines.push(format!("script: [\"{script}\"]"));
        }
        Form::Wasm => {
            let (module, arguments) = match does {
                Does::Read(path) => ("fs", format!("read, {path}")),
                Does::Write(path, text) => ("fs", format!("write, {path}, '{text}'")),
                Does::WriteBelow(dir, path, text) => {
                    ("fs", format!("write-below, {dir}, {path}, '{text}'"))
                }
                Does::Environment => ("hello", String::new()),
                Does::Wait => ("sleep", "50".to_owned()),
            };
            lines.push(format!(
                "wasm: {{module: ci/{module}.wasm, args: [{arguments}], grants: {{write: [.]}}}}"
            ));
        }
    }
    let _infallible = writeln!(file, "{indent}- step:");
    for line in lines {
        let _infallible = writeln!(file, "{indent}    {line}");
    }
}
