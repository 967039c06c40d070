//! What a job may be at most. The hub holds a plan against it before it admits the build, and the runner
//! holds an offer against it before it takes the job: what one lets through, the other takes.

use std::collections::BTreeMap;

use super::{GrantSpec, JobSpec, StepSpec, WasmSpec, WorkSpec};
use crate::limits::{
    ENV_VALUE_BYTES_MAX, ENV_VARS_MAX, GRANTS_MAX, JOB_BYTES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX,
    SCRIPT_LINE_BYTES_MAX, SCRIPT_LINES_MAX, STEP_SECS_MAX, STEPS_MAX,
};

/// A field of a job has too much in it, too little, or characters that must not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// Too much or too little.
    #[error("{0} is out of bounds")]
    Size(&'static str),
    /// Characters that end an argument, a variable or a line.
    #[error("{0} has characters that are not allowed there")]
    Characters(&'static str),
}

impl JobSpec {
    /// Checks every bound of the job.
    pub fn check_bounds(&self) -> Result<(), OutOfBounds> {
        within(
            "the repository's name",
            self.build.repository.len(),
            1,
            NAME_BYTES_MAX,
        )?;
        environment(&self.env)?;
        check_steps(&self.steps)
    }
}

/// Checks the steps of a job, as the hub does before it admits a build.
pub fn check_steps(steps: &[StepSpec]) -> Result<(), OutOfBounds> {
    within("the number of steps", steps.len(), 1, STEPS_MAX)?;
    for step in steps {
        let StepSpec {
            index: _,
            name,
            line: _,
            max_time_secs,
            depth,
            work,
        } = step;
        within("a step's name", name.len(), 1, NAME_BYTES_MAX)?;
        if !(1..=STEP_SECS_MAX).contains(max_time_secs) {
            return Err(OutOfBounds::Size("a step's time"));
        }
        if *depth == Some(0) {
            return Err(OutOfBounds::Size("a step's depth of history"));
        }
        match work {
            WorkSpec::Script {
                image,
                script,
                after_script,
            } => {
                plain("an image's name", image)?;
                lines("a script", script, 1)?;
                lines("an after-script", after_script, 0)?;
            }
            WorkSpec::Wasm(spec) => wasm(spec)?,
            WorkSpec::Unsupported { what, line: _ } => {
                within("what is unsupported", what.len(), 1, NAME_BYTES_MAX)?;
            }
        }
    }
    let json = serde_json::to_string(steps).map_or(usize::MAX, |json| json.len());
    within("the size of all steps together", json, 1, JOB_BYTES_MAX)
}

fn wasm(spec: &WasmSpec) -> Result<(), OutOfBounds> {
    let WasmSpec {
        module,
        module_from: _,
        module_line: _,
        args,
        env,
        read,
        write,
        net,
        clock: _,
        random: _,
        limits: _,
    } = spec;
    plain("a module's path", module)?;
    lines("a list of arguments", args, 0)?;
    environment(env)?;
    [read, write, net]
        .into_iter()
        .try_for_each(|asked| grants(asked))
}

fn grants(asked: &[GrantSpec]) -> Result<(), OutOfBounds> {
    within("the number of grants", asked.len(), 0, GRANTS_MAX)?;
    asked
        .iter()
        .try_for_each(|grant| plain("a grant", &grant.what))
}

fn environment(env: &BTreeMap<String, String>) -> Result<(), OutOfBounds> {
    within("the number of variables", env.len(), 0, ENV_VARS_MAX)?;
    for (name, value) in env {
        within("a variable's name", name.len(), 1, NAME_BYTES_MAX)?;
        within("a variable's value", value.len(), 0, ENV_VALUE_BYTES_MAX)?;
        if name.contains(['=', '\0']) || value.contains('\0') {
            return Err(OutOfBounds::Characters("a variable"));
        }
    }
    Ok(())
}

fn lines(field: &'static str, lines: &[String], least: usize) -> Result<(), OutOfBounds> {
    within(field, lines.len(), least, SCRIPT_LINES_MAX)?;
    for line in lines {
        within(field, line.len(), 0, SCRIPT_LINE_BYTES_MAX)?;
        if line.contains('\0') {
            return Err(OutOfBounds::Characters(field));
        }
    }
    Ok(())
}

fn plain(field: &'static str, text: &str) -> Result<(), OutOfBounds> {
    within(field, text.len(), 1, PATH_BYTES_MAX)?;
    if text.chars().any(char::is_control) {
        return Err(OutOfBounds::Characters(field));
    }
    Ok(())
}

fn within(field: &'static str, count: usize, min: usize, max: usize) -> Result<(), OutOfBounds> {
    if (min..=max).contains(&count) {
        Ok(())
    } else {
        Err(OutOfBounds::Size(field))
    }
}
