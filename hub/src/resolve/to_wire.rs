//! Planned steps in their wire form: the one place where the language's types become the protocol's.
//! Each conversion destructures completely, so that a new field does not compile until somebody decides
//! whether it travels.

use cofferdam_pipeline::{
    Clock, GrantRequest, LimitRequest, ModuleRef, NetGrant, PathGrant, Random, ScriptStep,
    StepKind, StepPlan, WasmStep,
};
use cofferdam_protocol::StepIndex;
use cofferdam_protocol::job_spec::{GrantSpec, LimitsSpec, StepSpec, WasmSpec, WorkSpec};

/// A step as a runner will be handed it.
pub(super) fn step(step: StepPlan) -> StepSpec {
    // How often a step is retried is not the file's yet: the hub's own rule is the language's default.
    let StepPlan {
        index,
        name,
        line,
        max_time_secs,
        retry: _,
        kind,
    } = step;
    let work = match kind {
        StepKind::Script(ScriptStep {
            image,
            script,
            after_script,
        }) => WorkSpec::Script {
            image,
            script,
            after_script,
        },
        StepKind::Wasm(step) => wasm(step),
        StepKind::Unsupported { what, line } => WorkSpec::Unsupported { what, line },
    };
    StepSpec {
        index: StepIndex(index),
        name,
        line,
        max_time_secs,
        work,
    }
}

fn wasm(step: WasmStep) -> WorkSpec {
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
    let unsupported = |what: &str, line| WorkSpec::Unsupported {
        what: what.to_owned(),
        line,
    };
    let module = match module {
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
    WorkSpec::Wasm(WasmSpec {
        module,
        module_line,
        args,
        env,
        read: read.into_iter().map(path).collect(),
        write: write.into_iter().map(path).collect(),
        net: net.iter().map(origin).collect(),
        limits: wire_limits(limits),
    })
}

fn path(grant: PathGrant) -> GrantSpec {
    let PathGrant { path, line } = grant;
    GrantSpec { what: path, line }
}

fn origin(grant: &NetGrant) -> GrantSpec {
    GrantSpec {
        what: grant.to_string(),
        line: grant.line,
    }
}

fn wire_limits(limits: LimitRequest) -> LimitsSpec {
    let LimitRequest {
        memory_bytes,
        time_secs,
        output_bytes,
        disk_bytes,
    } = limits;
    LimitsSpec {
        memory_bytes,
        time_secs,
        output_bytes,
        disk_bytes,
    }
}
