//! A step of the file's plan becomes a step that this host can run, or one that says what it cannot do. The one
//! place where the language's types become the executors'. Each conversion destructures completely, so that a new
//! field does not compile until somebody decides what it means here.

use std::time::Duration;

use cofferdam_pipeline::{
    GrantRequest, ImagePlan, LimitRequest, ModuleRef, NetGrant, PathGrant, ScriptStep,
    SecretDelivery, SecretGrant, StepKind, StepPlan, WasmStep,
};
use cofferdam_protocol::StepIndex;

use crate::executor::{Asked, AskedLimits, ScriptBounds, ScriptWork, WasmBounds};
use crate::secrets::{SecretGrants, Secrets};
use crate::step::plan::{ModuleSource, PlannedStep, PlannedWasm, PlannedWork};
use crate::text::printable;

/// A step as `step` runs it.
pub(super) fn step(step: &StepPlan, secrets: &Secrets) -> PlannedStep {
    // What is not bound here is decided before a step is run: order, gates, and what is carried between steps.
    let StepPlan {
        index,
        name,
        line,
        max_time_secs,
        clone,
        kind,
        ..
    } = step;
    let work = match (beyond_this_host(step), kind.clone()) {
        (_, StepKind::Unsupported { what, line }) => PlannedWork::Unsupported { what, line },
        (Some((what, line)), _) => PlannedWork::Unsupported {
            what: what.to_owned(),
            line,
        },
        (None, StepKind::Script(step)) => script(step),
        (None, StepKind::Wasm(step)) => wasm(step, secrets),
    };
    PlannedStep {
        index: StepIndex(*index),
        name: printable(name),
        line: *line,
        timeout: Duration::from_secs(*max_time_secs),
        depth: clone.depth.into(),
        notes: Vec::new(),
        work,
    }
}

/// What a step asks of its build that a local run cannot give yet, and the line that asks. A deployment and a
/// concurrency group are honoured by there being one run in a work tree.
fn beyond_this_host(step: &StepPlan) -> Option<(&'static str, u32)> {
    let clone = step.clone.line.filter(|_| !step.clone.enabled);
    let lfs = step.clone.line.filter(|_| step.clone.lfs);
    [
        step.services
            .first()
            .map(|service| ("services", service.line)),
        clone.map(|line| ("clone: enabled: false", line)),
        lfs.map(|line| ("clone: lfs", line)),
        step.oidc.then_some(("oidc", step.line)),
    ]
    .into_iter()
    .flatten()
    .next()
}

fn script(step: ScriptStep) -> PlannedWork {
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
        return PlannedWork::Unsupported {
            what: "image: credentials".to_owned(),
            line: credentials.line,
        };
    }
    if run_as_user.is_some_and(|user| user != 0) {
        return PlannedWork::Unsupported {
            what: "image: run-as-user".to_owned(),
            line: line.unwrap_or(1),
        };
    }
    PlannedWork::Script(ScriptWork {
        image: name,
        script,
        after_script,
        bounds: ScriptBounds::default(),
    })
}

fn wasm(step: WasmStep, given: &Secrets) -> PlannedWork {
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
    let module = match module {
        ModuleRef::Path(path) => ModuleSource::Commit(path),
        ModuleRef::Artifact { path, from } => ModuleSource::Artifact { path, from },
        ModuleRef::FirstParty(name) => ModuleSource::FirstParty(name),
        ModuleRef::Oci { .. } => {
            return PlannedWork::Unsupported {
                what: "`module: oci://…` (commit the module, and name its path instead)".to_owned(),
                line: module_line,
            };
        }
    };
    if let (ModuleSource::Artifact { .. }, Some(secret)) = (&module, secrets.first()) {
        return PlannedWork::Impossible {
            why: "a module from an artifact may hold no secret: another step made it".to_owned(),
            line: secret.line,
        };
    }
    let secrets = match granted(&secrets, given) {
        Ok(granted) => granted,
        Err(instead) => return *instead,
    };
    PlannedWork::Wasm(Box::new(PlannedWasm {
        module,
        module_line,
        args,
        env,
        read: read.into_iter().map(path).collect(),
        write: write.into_iter().map(path).collect(),
        net: net.iter().map(origin).collect(),
        secrets,
        clock,
        random,
        limits: asked(limits),
        bounds: WasmBounds::default(),
    }))
}

/// The values of the secrets that a step is granted, of those that were given; or what the step is instead.
fn granted(asked: &[SecretGrant], given: &Secrets) -> Result<SecretGrants, Box<PlannedWork>> {
    let mut granted = SecretGrants::default();
    for SecretGrant {
        name,
        delivery,
        line,
    } in asked
    {
        let Some(value) = given.get(name) else {
            return Err(Box::new(PlannedWork::Lacking {
                what: format!("the secret `{name}`; give it with --secret or --secrets"),
                line: *line,
            }));
        };
        let kind = match delivery {
            SecretDelivery::Environment => &mut granted.variables,
            SecretDelivery::File => &mut granted.files,
        };
        kind.put(name.clone(), value.to_owned()).map_err(|fault| {
            Box::new(PlannedWork::Impossible {
                why: fault.to_string(),
                line: *line,
            })
        })?;
    }
    Ok(granted)
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
