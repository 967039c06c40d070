//! Planned steps in their wire form: the one place where the language's types become the protocol's.
//! Each conversion destructures completely, so that a new field does not compile until somebody decides
//! whether it travels.

use cofferdam_pipeline::{
    Clock, GrantRequest, ImagePlan, LimitRequest, ModuleRef, NetGrant, PathGrant, Random,
    ScriptStep, StepKind, StepPlan, WasmStep,
};
use cofferdam_protocol::StepIndex;
use cofferdam_protocol::job_spec::{
    ClockSpec, GrantSpec, LimitsSpec, ModuleFrom, RandomSpec, StepSpec, WasmSpec, WorkSpec,
};

/// A step as a runner will be handed it.
pub(super) fn step(step: StepPlan) -> StepSpec {
    let beyond = beyond_a_hub(&step);
    // How often a step is retried is not the file's yet: the hub's own rule is the language's default. A cache that is
    // never kept is only slow. What decides whether and when the step runs is in the plan's outline; what else a step has
    // around it is in `beyond_a_hub`.
    let StepPlan {
        index,
        name,
        line,
        max_time_secs,
        retry: _,
        group: _,
        fail_fast: _,
        is_final: _,
        manual: _,
        condition: _,
        skip: _,
        artifacts: _,
        caches: _,
        services: _,
        deployment: _,
        concurrency_group: _,
        clone,
        oidc: _,
        kind,
    } = step;
    let work = match (beyond, kind) {
        (_, StepKind::Unsupported { what, line }) => WorkSpec::Unsupported { what, line },
        (Some((what, line)), _) => WorkSpec::Unsupported {
            what: what.to_owned(),
            line,
        },
        (None, StepKind::Script(script)) => script_work(script),
        (None, StepKind::Wasm(step)) => wasm(step),
    };
    StepSpec {
        index: StepIndex(index),
        name,
        line,
        max_time_secs,
        depth: clone.depth,
        work,
    }
}

/// What a step asks of its build that a hub cannot give yet, and the line that asks. Without it the step would mean
/// something else, so it fails when its turn comes.
fn beyond_a_hub(step: &StepPlan) -> Option<(&'static str, u32)> {
    let upload = step.artifacts.upload.first();
    let clone = step.clone.line.filter(|_| !step.clone.enabled);
    let lfs = step.clone.line.filter(|_| step.clone.lfs);
    [
        upload.map(|upload| ("artifacts", upload.line)),
        step.services
            .first()
            .map(|service| ("services", service.line)),
        step.deployment
            .as_ref()
            .map(|deployment| ("deployment", deployment.line)),
        step.concurrency_group
            .as_ref()
            .map(|group| ("concurrency-group", group.line)),
        clone.map(|line| ("clone: enabled: false", line)),
        lfs.map(|line| ("clone: lfs", line)),
        step.oidc.then_some(("oidc", step.line)),
    ]
    .into_iter()
    .flatten()
    .next()
}

fn script_work(step: ScriptStep) -> WorkSpec {
    let ScriptStep {
        image,
        script,
        after_script,
    } = step;
    let ImagePlan {
        name,
        run_as_user,
        credentials,
        line,
    } = image;
    if let Some(credentials) = credentials {
        return WorkSpec::Unsupported {
            what: "image: credentials".to_owned(),
            line: credentials.line,
        };
    }
    if run_as_user.is_some_and(|user| user != 0) {
        return WorkSpec::Unsupported {
            what: "image: run-as-user".to_owned(),
            line: line.unwrap_or(1),
        };
    }
    WorkSpec::Script {
        image: name,
        script,
        after_script,
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
    let (module, module_from) = match module {
        ModuleRef::Path(path) => (path, ModuleFrom::Commit),
        ModuleRef::FirstParty(name) => (name, ModuleFrom::FirstParty),
        ModuleRef::Oci { .. } => {
            let what = "`module: oci://…` (commit the module, and name its path instead)";
            return unsupported(what, module_line);
        }
        ModuleRef::Artifact { .. } => return unsupported("module: artifact", module_line),
    };
    if let Some(secret) = secrets.first() {
        return unsupported("grants.secrets", secret.line);
    }
    WorkSpec::Wasm(WasmSpec {
        module,
        module_from,
        module_line,
        args,
        env,
        read: read.into_iter().map(path).collect(),
        write: write.into_iter().map(path).collect(),
        net: net.iter().map(origin).collect(),
        clock: match clock {
            Clock::Real => ClockSpec::Real,
            Clock::Fixed => ClockSpec::Fixed,
        },
        random: match random {
            Random::Real => RandomSpec::Real,
            Random::Seeded => RandomSpec::Seeded,
        },
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
