//! An offer becomes a plan, or a reason to decline. The hub is not trusted blindly: every field is
//! held against a bound, and everything that becomes a path, a URL or an argument is parsed.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam_git::{RefName, RemotePolicy, RemoteUrl};
use cofferdam_protocol::job_spec::{
    BuildRef, CheckoutSpec, GrantSpec, JobSpec, LimitsSpec, StepSpec, WasmSpec, WorkSpec,
};
use cofferdam_protocol::limits::{
    ENV_VALUE_BYTES_MAX, ENV_VARS_MAX, GRANTS_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX,
    SCRIPT_LINE_BYTES_MAX, SCRIPT_LINES_MAX, STEPS_MAX,
};

use crate::checkout::Source;
use crate::executor::{Asked, AskedLimits, ScriptWork};
use crate::job::plan::{Plan, PlannedStep, PlannedWasm, PlannedWork};
use crate::text::printable;

/// The longest that a step may ask for: Bitbucket's own ceiling on `max-time` is 720 minutes; twice it.
const STEP_SECS_MAX: u64 = 24 * 60 * 60;

/// Why an offer is declined. One sentence each; the hub shows it.
#[derive(Debug, thiserror::Error)]
pub enum BadOffer {
    /// A field has too much in it, or too little.
    #[error("the offer's {field} is out of bounds")]
    Bounds {
        /// Which field.
        field: &'static str,
    },
    /// A field has characters that it must not have.
    #[error("the offer's {field} has characters that are not allowed there")]
    Characters {
        /// Which field.
        field: &'static str,
    },
    /// The remote is not one that this runner may fetch from.
    #[error("this runner does not fetch from there: {0}")]
    Remote(String),
    /// The ref is not one.
    #[error("the offer's ref is malformed: {0}")]
    Reference(String),
}

/// Checks an offer.
pub fn plan(spec: JobSpec, remotes: &RemotePolicy) -> Result<Plan, BadOffer> {
    let JobSpec {
        attempt,
        fence,
        build,
        checkout,
        trust,
        env,
        steps,
    } = spec;
    let BuildRef {
        id: _,
        number,
        repository,
    } = build;
    let CheckoutSpec {
        url,
        reference,
        commit,
    } = checkout;
    bounded("number of steps", steps.len(), 1, STEPS_MAX)?;
    let url =
        RemoteUrl::parse(&url, remotes).map_err(|error| BadOffer::Remote(error.to_string()))?;
    let reference: RefName = reference
        .parse()
        .map_err(|error: cofferdam_git::BadRefName| BadOffer::Reference(error.to_string()))?;
    Ok(Plan {
        attempt,
        fence,
        repository: name("repository", &repository)?,
        build_number: number,
        source: Source {
            url,
            reference,
            commit,
            trust,
        },
        env: environment(env)?,
        steps: steps.into_iter().map(step).collect::<Result<_, _>>()?,
    })
}

fn step(spec: StepSpec) -> Result<PlannedStep, BadOffer> {
    let StepSpec {
        index,
        name: step_name,
        line: _,
        max_time_secs,
        work,
    } = spec;
    let secs = usize::try_from(max_time_secs).unwrap_or(usize::MAX);
    let secs_max = usize::try_from(STEP_SECS_MAX).unwrap_or(usize::MAX);
    bounded("time", secs, 1, secs_max)?;
    let work = match work {
        WorkSpec::Script {
            image,
            script,
            after_script,
        } => PlannedWork::Script(ScriptWork {
            image: plain("image", image, 1, PATH_BYTES_MAX)?,
            script: lines(script, 1)?,
            after_script: lines(after_script, 0)?,
        }),
        WorkSpec::Wasm(spec) => PlannedWork::Wasm(wasm(spec)?),
        WorkSpec::Unsupported { what, line } => PlannedWork::Unsupported {
            what: name("unsupported key", &what)?,
            line,
        },
    };
    Ok(PlannedStep {
        index,
        name: name("step's name", &step_name)?,
        timeout: Duration::from_secs(max_time_secs),
        work,
    })
}

fn wasm(spec: WasmSpec) -> Result<PlannedWasm, BadOffer> {
    let WasmSpec {
        module,
        module_line,
        args,
        env,
        read,
        write,
        net,
        limits,
    } = spec;
    bounded("number of arguments", args.len(), 0, SCRIPT_LINES_MAX)?;
    let args = args
        .into_iter()
        .map(|arg| without_nul("argument", arg, SCRIPT_LINE_BYTES_MAX))
        .collect::<Result<_, _>>()?;
    let LimitsSpec {
        memory_bytes,
        time_secs,
        output_bytes,
        disk_bytes,
    } = limits;
    Ok(PlannedWasm {
        module_path: plain("module", module, 1, PATH_BYTES_MAX)?,
        module_line,
        args,
        env: environment(env)?,
        read: grants(read)?,
        write: grants(write)?,
        net: grants(net)?,
        limits: AskedLimits {
            memory_bytes,
            time: time_secs.map(|secs| Duration::from_secs(secs.min(STEP_SECS_MAX))),
            output_bytes,
            disk_bytes,
        },
    })
}

fn grants(asked: Vec<GrantSpec>) -> Result<Vec<Asked>, BadOffer> {
    bounded("number of grants", asked.len(), 0, GRANTS_MAX)?;
    asked
        .into_iter()
        .map(|GrantSpec { what, line }| {
            Ok(Asked {
                what: plain("grant", what, 1, PATH_BYTES_MAX)?,
                line,
            })
        })
        .collect()
}

fn environment(env: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, BadOffer> {
    bounded("number of variables", env.len(), 0, ENV_VARS_MAX)?;
    for (key, value) in &env {
        bounded("variable's name", key.len(), 1, NAME_BYTES_MAX)?;
        bounded("variable's value", value.len(), 0, ENV_VALUE_BYTES_MAX)?;
        if key.contains(['=', '\0']) || value.contains('\0') {
            return Err(BadOffer::Characters { field: "variable" });
        }
    }
    Ok(env)
}

fn lines(script: Vec<String>, least: usize) -> Result<Vec<String>, BadOffer> {
    bounded(
        "number of script lines",
        script.len(),
        least,
        SCRIPT_LINES_MAX,
    )?;
    script
        .into_iter()
        .map(|line| without_nul("script line", line, SCRIPT_LINE_BYTES_MAX))
        .collect()
}

fn name(field: &'static str, text: &str) -> Result<String, BadOffer> {
    bounded(field, text.len(), 1, NAME_BYTES_MAX)?;
    Ok(printable(text))
}

fn plain(
    field: &'static str,
    text: String,
    bytes_min: usize,
    bytes_max: usize,
) -> Result<String, BadOffer> {
    bounded(field, text.len(), bytes_min, bytes_max)?;
    if text.chars().any(char::is_control) {
        return Err(BadOffer::Characters { field });
    }
    Ok(text)
}

fn without_nul(field: &'static str, text: String, bytes_max: usize) -> Result<String, BadOffer> {
    bounded(field, text.len(), 0, bytes_max)?;
    if text.contains('\0') {
        return Err(BadOffer::Characters { field });
    }
    Ok(text)
}

fn bounded(field: &'static str, count: usize, min: usize, max: usize) -> Result<(), BadOffer> {
    if (min..=max).contains(&count) {
        Ok(())
    } else {
        Err(BadOffer::Bounds { field })
    }
}

#[cfg(test)]
mod tests;
