//! What a step of a pipeline file asks of a host, in the ceiling's words.

use std::collections::BTreeMap;

use cofferdam_pipeline::{
    GrantRequest, LimitRequest, ModuleRef, PathGrant, StepKind, StepPlan, WasmStep,
};

use crate::ceiling::{Asked, ExecutorKind, LimitName, Wish};

/// What the step asks for; `None` if this version cannot run it anywhere.
pub(super) fn wants(step: &StepPlan) -> Option<Asked> {
    let time = step.max_time_secs.saturating_mul(1000);
    let mut asked = match &step.kind {
        StepKind::Unsupported { .. } => return None,
        StepKind::Script(script) => {
            let image = Wish {
                what: script.image.name.clone(),
                line: script.image.line,
            };
            Asked::script(image, step.line)
        }
        StepKind::Wasm(wasm) => module(wasm),
    };
    asked.line = Some(step.line);
    let asked_time = asked.limits.entry(LimitName::Time).or_insert(time);
    *asked_time = time.min(*asked_time);
    Some(asked)
}

fn module(step: &WasmStep) -> Asked {
    let WasmStep {
        module,
        module_line,
        args: _,
        env: _,
        grants,
        limits,
    } = step;
    let GrantRequest {
        read,
        write,
        net,
        // Whether there is such a secret is the hub's to say; clock and random bytes harm no host.
        secrets: _,
        clock: _,
        random: _,
    } = grants;
    let path = |PathGrant { path, line }: &PathGrant| wish(path.clone(), *line);
    let module_registry = match module {
        ModuleRef::Oci { repository, .. } => {
            let registry = repository.split('/').next().unwrap_or_default();
            Some(wish(registry.to_owned(), *module_line))
        }
        ModuleRef::Path(_) | ModuleRef::FirstParty(_) | ModuleRef::Artifact { .. } => None,
    };
    Asked {
        module_registry,
        read: read.iter().map(path).collect(),
        write: write.iter().map(path).collect(),
        net: net
            .iter()
            .map(|grant| wish(grant.to_string(), grant.line))
            .collect(),
        limits: amounts(limits),
        ..Asked::nothing(ExecutorKind::Wasm)
    }
}

fn wish(what: String, line: u32) -> Wish {
    Wish {
        what,
        line: Some(line),
    }
}

fn amounts(limits: &LimitRequest) -> BTreeMap<LimitName, u64> {
    let LimitRequest {
        memory_bytes,
        time_secs,
        output_bytes,
        disk_bytes,
    } = *limits;
    let asked = [
        (LimitName::Memory, memory_bytes),
        (
            LimitName::Time,
            time_secs.map(|secs| secs.saturating_mul(1000)),
        ),
        (LimitName::Output, output_bytes),
        (LimitName::Disk, disk_bytes),
    ];
    asked
        .into_iter()
        .filter_map(|(name, amount)| Some((name, amount?)))
        .collect()
}
