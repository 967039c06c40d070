//! What one step's container may have: the executor's settings, within what the ceiling says of the step.

use super::engine;
use super::spec::{ContainerLimits, Network};
use super::{ContainerExecutor, EngineFacts};
use crate::ceiling::Demand;
use crate::executor::{ExecutorError, ScriptBounds};

/// What a container gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) network: Network,
    pub(super) limits: ContainerLimits,
    /// Open files and processes of its user.
    pub(super) ulimits: (u64, u64),
}

/// Refuses a step whose ceiling this engine is not good enough for, before anything is fetched for it.
pub(super) fn room(
    executor: &ContainerExecutor,
    bounds: &ScriptBounds,
) -> Result<Room, ExecutorError> {
    let facts = executor.engine.facts();
    check(facts, bounds)?;
    let settings = &executor.settings;
    let network = if bounds.has_no_network {
        Network::None
    } else {
        settings.network
    };
    let limits = ContainerLimits {
        memory_bytes: bounds.memory_bytes.unwrap_or(settings.limits.memory_bytes),
        pids: bounds.processes.map_or(settings.limits.pids, |processes| {
            u32::try_from(processes).unwrap_or(u32::MAX)
        }),
        output_bytes: bounds.output_bytes.unwrap_or(settings.limits.output_bytes),
    };
    let (mut nofile, mut nproc) = engine::ulimits();
    nofile = bounds.files.map_or(nofile, |files| files.min(nofile));
    if !facts.has_limits {
        // Better than nothing against a fork bomb. It counts all that this user's containers run.
        nproc = nproc.min(u64::from(limits.pids));
    }
    Ok(Room {
        network,
        limits,
        ulimits: (nofile, nproc),
    })
}

fn check(facts: &EngineFacts, bounds: &ScriptBounds) -> Result<(), ExecutorError> {
    let refuse = |why: &str| {
        let why = why.to_owned();
        Err(ExecutorError::GrantRefused { why, line: None })
    };
    if bounds.must_be_rootless && !facts.is_rootless {
        return refuse(
            "this runner's container engine is as good as root on its host, and the ceiling \
             (`rootful_engine`) does not allow that to such builds",
        );
    }
    if bounds.isolation == Demand::Strict && !facts.has_limits {
        return refuse(
            "isolation `strict` is demanded, and this runner's container engine cannot limit memory \
             and processes",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::executor::container::EngineKind;

    #[test]
    fn an_engine_that_is_not_good_enough_is_not_used() {
        for (is_rootless, has_limits, must_be_rootless, isolation, is_used) in [
            (true, true, true, Demand::Strict, true),
            (false, false, false, Demand::Best, true),
            (false, true, true, Demand::Best, false),
            (true, false, true, Demand::Strict, false),
        ] {
            let facts = EngineFacts {
                kind: EngineKind::Podman,
                version: "4.3.1".to_owned(),
                is_rootless,
                has_limits,
                has_selinux: false,
                socket: PathBuf::from("/run/engine.sock"),
            };
            let bounds = ScriptBounds {
                isolation,
                must_be_rootless,
                ..ScriptBounds::default()
            };
            assert_eq!(
                check(&facts, &bounds).is_ok(),
                is_used,
                "{facts} {bounds:?}"
            );
        }
    }
}
