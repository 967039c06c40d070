//! An offer becomes a plan, or a reason to decline. The hub is not trusted blindly: every field is held
//! against the protocol's bounds, and what becomes a URL or a ref is parsed.

use std::time::Duration;

use cofferdam_git::{BadRefName, RefName, RemotePolicy, RemoteUrl};
use cofferdam_pipeline::{Clock, Random};
use cofferdam_protocol::job_spec::{
    BuildRef, CheckoutSpec, ClockSpec, GrantSpec, JobSpec, LimitsSpec, ModuleFrom, OutOfBounds,
    RandomSpec, StepSpec, WasmSpec, WorkSpec,
};

use crate::ceiling::{Ceiling, Repository};
use crate::checkout::Source;
use crate::executor::{Asked, AskedLimits, ScriptBounds, ScriptWork, WasmBounds};
use crate::job::plan::Plan;
use crate::secrets::SecretGrants;
use crate::step::hold::Hold;
use crate::step::plan::{ModuleSource, PlannedStep, PlannedWasm, PlannedWork};
use crate::text::printable;

/// Why an offer is declined. One sentence each; the hub shows it.
#[derive(Debug, thiserror::Error)]
pub enum BadOffer {
    /// A field is out of its bounds.
    #[error("in the offer {0}")]
    Bounds(#[from] OutOfBounds),
    /// The remote is not one that this runner may fetch from.
    #[error("this runner does not fetch from there: {0}")]
    Remote(String),
    /// The ref is not one.
    #[error("the offer's ref is malformed: {0}")]
    Reference(String),
}

/// Checks an offer.
///
/// What the ceiling does not allow is no reason to decline: the step is refused when its turn comes, before anything is
/// fetched for it, so that its log says why.
pub fn plan(spec: JobSpec, remotes: &RemotePolicy, ceiling: &Ceiling) -> Result<Plan, BadOffer> {
    spec.check_bounds()?;
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
    let named = Repository {
        address: url.clone(),
        name: repository.clone(),
    };
    let url =
        RemoteUrl::parse(&url, remotes).map_err(|error| BadOffer::Remote(error.to_string()))?;
    let reference: RefName = reference
        .parse()
        .map_err(|error: BadRefName| BadOffer::Reference(error.to_string()))?;
    let hold = Hold {
        ceiling,
        trust,
        repository: Some(&named),
    };
    let steps: Vec<PlannedStep> = steps
        .into_iter()
        .map(|spec| hold.step(step(spec)))
        .collect();
    let depth = steps.iter().map(|step| step.depth).max();
    Ok(Plan {
        attempt,
        fence,
        repository: printable(&repository),
        build_number: number,
        source: Source {
            url,
            reference,
            commit,
            depth: depth.unwrap_or_default(),
            trust,
        },
        env,
        steps,
    })
}

fn step(spec: StepSpec) -> PlannedStep {
    let StepSpec {
        index,
        name,
        line,
        max_time_secs,
        depth,
        work,
    } = spec;
    let work = match work {
        WorkSpec::Script {
            image,
            script,
            after_script,
        } => PlannedWork::Script(ScriptWork {
            image,
            script,
            after_script,
            bounds: ScriptBounds::default(),
        }),
        WorkSpec::Wasm(spec) => PlannedWork::Wasm(Box::new(wasm(spec))),
        WorkSpec::Unsupported { what, line } => PlannedWork::Unsupported {
            what: printable(&what),
            line,
        },
    };
    PlannedStep {
        index,
        name: printable(&name),
        line,
        timeout: Duration::from_secs(max_time_secs),
        depth: depth.into(),
        notes: Vec::new(),
        work,
    }
}

fn wasm(spec: WasmSpec) -> PlannedWasm {
    let WasmSpec {
        module,
        module_from,
        module_line,
        args,
        env,
        read,
        write,
        net,
        clock,
        random,
        limits,
    } = spec;
    let LimitsSpec {
        memory_bytes,
        time_secs,
        output_bytes,
        disk_bytes,
    } = limits;
    PlannedWasm {
        module: match module_from {
            ModuleFrom::Commit => ModuleSource::Commit(module),
            ModuleFrom::FirstParty => ModuleSource::FirstParty(module),
        },
        module_line,
        args,
        env,
        read: grants(read),
        write: grants(write),
        net: grants(net),
        // A hub has none to give yet, and its planner says so.
        secrets: SecretGrants::default(),
        clock: match clock {
            ClockSpec::Real => Clock::Real,
            ClockSpec::Fixed => Clock::Fixed,
        },
        random: match random {
            RandomSpec::Real => Random::Real,
            RandomSpec::Seeded => Random::Seeded,
        },
        limits: AskedLimits {
            memory_bytes,
            time: time_secs.map(Duration::from_secs),
            output_bytes,
            disk_bytes,
        },
        bounds: WasmBounds::default(),
    }
}

fn grants(asked: Vec<GrantSpec>) -> Vec<Asked> {
    asked
        .into_iter()
        .map(|GrantSpec { what, line }| Asked { what, line })
        .collect()
}

#[cfg(test)]
mod tests;
