//! A step of the file's plan becomes a step that this host can run, or one that says what it cannot do. The one
//! place where the language's types become the executors'. Each conversion destructures completely, so that a new
//! field does not compile until somebody decides what it means here.

use std::time::Duration;

use cofferdam_pipeline::{
    Clock, GrantRequest, LimitRequest, ModuleRef, NetGrant, PathGrant, Random, ScriptStep,
    StepKind, StepPlan, WasmStep,
};
use cofferdam_protocol::StepIndex;

use crate::executor::{Asked, AskedLimits, ScriptWork};
use crate::step::plan::{PlannedStep, PlannedWasm, PlannedWork};
use crate::text::printable;

/// A step as `step` runs it.
pub(super) fn step(step: &StepPlan) -> PlannedStep {
    // What is not bound here is decided before a step is run: order, gates, and what is carried between steps.
    let StepPlan {
        index,
        name,
        max_time_secs,
        kind,
        ..
    } = step;
    let work = match kind.clone() {
        StepKind::Script(ScriptStep {
            image,
            script,
            after_script,
        }) => PlannedWork::Script(ScriptWork {
            image,
            script,
            after_script,
        }),
        StepKind::Wasm(step) => wasm(step),
        StepKind::Unsupported { what, line } => PlannedWork::Unsupported { what, line },
    };
    PlannedStep {
        index: StepIndex(*index),
        name: printable(name),
        timeout: Duration::from_secs(*max_time_secs),
        work,
    }
}

fn wasm(step: WasmStep) -> PlannedWork {
    let WasmStep {
        module,
        module_line,
        args,
        env,
        grants,
        limits,
    } = step;
    let GrantRequest {
        read,
        write,
        net,
        secrets,
        clock,
        random,
    } = grants;
    let unsupported = |what: &str, line| PlannedWork::Unsupported {
        what: what.to_owned(),
        line,
    };
    let module_path = match module {
        ModuleRef::Path(path) => path,
        ModuleRef::FirstParty(name) => {
            return unsupported(&format!("module: step:{name}"), module_line);
        }
        ModuleRef::Oci { .. } => return unsupported("module: oci://…", module_line),
        ModuleRef::Artifact { .. } => return unsupported("module: artifact", module_line),
    };
    if let Some(secret) = secrets.first() {
        return unsupported("grants.secrets", secret.line);
    }
    if clock != Clock::Real {
        return unsupported("grants.clock: fixed", module_line);
    }
    if random != Random::Real {
        return unsupported("grants.random: seeded", module_line);
    }
    PlannedWork::Wasm(PlannedWasm {
        module_path,
        module_line,
        args,
        env,
        read: read.into_iter().map(path).collect(),
        write: write.into_iter().map(path).collect(),
        net: net.iter().map(origin).collect(),
        limits: asked(limits),
    })
}

fn path(grant: PathGrant) -> Asked {
    let PathGrant { path, line } = grant;
    Asked { what: path, line }
}

fn origin(grant: &NetGrant) -> Asked {
    Asked {
        what: grant.to_string(),
        line: grant.line,
    }
}

fn asked(limits: LimitRequest) -> AskedLimits {
    let LimitRequest {
        memory_bytes,
        time_secs,
        output_bytes,
        disk_bytes,
    } = limits;
    AskedLimits {
        memory_bytes,
        time: time_secs.map(Duration::from_secs),
        output_bytes,
        disk_bytes,
    }
}
