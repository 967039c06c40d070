//! Holds a step to the ceiling before anything is fetched for it: from what was planned to what may run.
//!
//! The one place where a planned step is put into the ceiling's words and the answer back into the executors'. Each
//! conversion destructures completely, so that a new field does not compile until somebody decides what bounds it.

use std::time::Duration;

use cofferdam_protocol::job_spec::Trust;

use super::plan::{PlannedStep, PlannedWasm, PlannedWork};
use crate::ceiling::{
    self, Ceiling, Decision, Effective, ExecutorKind, LimitName, Refusal, Repository, Wish, weigh,
};
use crate::executor::{Asked, AskedLimits, ScriptBounds, ScriptWork, WasmBounds};

/// What a step may get on this host.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// What the operator decided.
    pub ceiling: &'a Ceiling,
    /// How far the build is trusted.
    pub trust: Trust,
    /// Where a hub says that the code is; `None` for a work tree of this host.
    pub repository: Option<&'a Repository>,
}

impl Hold<'_> {
    /// The step with what it may have: limits lowered, names in their one form; or refused, with every reason.
    pub fn step(&self, step: PlannedStep) -> PlannedStep {
        let Some(mut asked) = asked(&step) else {
            return step;
        };
        asked.repository = self.repository.cloned();
        let (given, decisions) = weigh(&asked, self.ceiling, self.trust);
        let notes = decisions.iter().filter_map(Decision::lowered).collect();
        let refusals: Vec<Refusal> = decisions
            .into_iter()
            .filter_map(Decision::refusal)
            .collect();
        if refusals.is_empty() {
            with(step, given, notes)
        } else {
            PlannedStep {
                work: PlannedWork::Refused(ceiling::Refusals(refusals)),
                ..step
            }
        }
    }
}

/// What a step asks for; `None` for one that cannot run anyway.
fn asked(step: &PlannedStep) -> Option<ceiling::Asked> {
    let PlannedStep {
        index: _,
        name: _,
        line,
        timeout,
        depth: _,
        notes: _,
        work,
    } = step;
    let mut asked = match work {
        PlannedWork::Script(ScriptWork {
            image,
            script: _,
            after_script: _,
            bounds: _,
        }) => {
            let image = Wish {
                what: image.clone(),
                line: Some(*line),
            };
            ceiling::Asked::script(image, *line)
        }
        PlannedWork::Wasm(wasm) => of_wasm(wasm),
        PlannedWork::Refused(_)
        | PlannedWork::Impossible { .. }
        | PlannedWork::Lacking { .. }
        | PlannedWork::Unsupported { .. } => {
            return None;
        }
    };
    asked.line = Some(*line);
    let time = asked.limits.entry(LimitName::Time).or_insert(u64::MAX);
    *time = (*time).min(millis(*timeout));
    Some(asked)
}

fn of_wasm(wasm: &PlannedWasm) -> ceiling::Asked {
    let PlannedWasm {
        module: _,
        module_line: _,
        args: _,
        env: _,
        read,
        write,
        net,
        limits,
        // What they may be is no host's to decide: whoever has a secret gives it to whom it is meant for.
        secrets: _,
        clock: _,
        random: _,
        bounds: _,
    } = wasm;
    let AskedLimits {
        memory_bytes,
        time,
        output_bytes,
        disk_bytes,
    } = *limits;
    let limits = [
        (LimitName::Memory, memory_bytes),
        (LimitName::Time, time.map(millis)),
        (LimitName::Output, output_bytes),
        (LimitName::Disk, disk_bytes),
    ];
    ceiling::Asked {
        read: wishes(read),
        write: wishes(write),
        net: wishes(net),
        limits: limits
            .into_iter()
            .filter_map(|(name, amount)| Some((name, amount?)))
            .collect(),
        ..ceiling::Asked::nothing(ExecutorKind::Wasm)
    }
}

fn wishes(asked: &[Asked]) -> Vec<Wish> {
    let wish = |Asked { what, line }: &Asked| Wish {
        what: what.clone(),
        line: Some(*line),
    };
    asked.iter().map(wish).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The step as it is allowed.
fn with(step: PlannedStep, given: Effective, notes: Vec<String>) -> PlannedStep {
    let Effective {
        executor: _,
        repository: _,
        image,
        module_registry: _,
        read,
        write,
        host_read: _,
        host_write: _,
        net,
        private_ranges,
        isolation,
        has_script_network,
        may_be_rootful,
        limits,
    } = given;
    let limit = |name| limits.get(&name).copied();
    let timeout = limit(LimitName::Time).map_or(step.timeout, Duration::from_millis);
    let work = match step.work {
        PlannedWork::Script(script) => PlannedWork::Script(ScriptWork {
            image: image.map_or(script.image, |image| image.to_string()),
            bounds: ScriptBounds {
                isolation,
                must_be_rootless: !may_be_rootful,
                has_no_network: !has_script_network,
                memory_bytes: limit(LimitName::Memory),
                output_bytes: limit(LimitName::Output),
                processes: limit(LimitName::Processes),
                files: limit(LimitName::Files),
            },
            ..script
        }),
        PlannedWork::Wasm(wasm) => PlannedWork::Wasm(Box::new(PlannedWasm {
            read: renamed(wasm.read, &read),
            write: renamed(wasm.write, &write),
            net: renamed(wasm.net, &net),
            limits: AskedLimits {
                memory_bytes: limit(LimitName::Memory),
                time: Some(timeout),
                output_bytes: limit(LimitName::Output),
                disk_bytes: limit(LimitName::Disk),
            },
            bounds: WasmBounds {
                isolation,
                private_ranges,
            },
            ..*wasm
        })),
        other => other,
    };
    PlannedStep {
        timeout,
        notes,
        work,
        ..step
    }
}

/// Grants under the names that were held against the ceiling, so that no later reader takes them for something else.
fn renamed(asked: Vec<Asked>, given: &[impl ToString]) -> Vec<Asked> {
    asked
        .into_iter()
        .zip(given)
        .map(|(asked, given)| Asked {
            what: given.to_string(),
            ..asked
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use cofferdam_protocol::StepIndex;

    use cofferdam_git::Depth;
    use cofferdam_pipeline::{Clock, Random};

    use super::*;
    use crate::ceiling::{Allowed, Bound, By, Demand, Level, Ruled};
    use crate::secrets::SecretGrants;
    use crate::step::plan::ModuleSource;

    fn step(work: PlannedWork) -> PlannedStep {
        PlannedStep {
            index: StepIndex(0),
            name: "Test".to_owned(),
            line: 3,
            timeout: Duration::from_hours(2),
            depth: Depth::default(),
            notes: Vec::new(),
            work,
        }
    }

    fn module() -> Box<PlannedWasm> {
        let asked = |what: &str, line| Asked {
            what: what.to_owned(),
            line,
        };
        Box::new(PlannedWasm {
            module: ModuleSource::Commit("ci/scan.wasm".to_owned()),
            module_line: 5,
            args: Vec::new(),
            env: std::collections::BTreeMap::new(),
            read: vec![asked("./src/", 7)],
            write: Vec::new(),
            net: vec![asked("https://API.example.com:443", 8)],
            limits: AskedLimits {
                memory_bytes: Some(4 << 30),
                ..AskedLimits::default()
            },
            secrets: SecretGrants::default(),
            clock: Clock::Real,
            random: Random::Real,
            bounds: WasmBounds::default(),
        })
    }

    fn script() -> PlannedWork {
        PlannedWork::Script(ScriptWork {
            image: "rust".to_owned(),
            script: vec!["true".to_owned()],
            after_script: Vec::new(),
            bounds: ScriptBounds::default(),
        })
    }

    fn held(work: PlannedWork, trust: Trust, change: impl FnOnce(&mut Level)) -> PlannedStep {
        let mut ceiling = Ceiling::default();
        change(&mut ceiling.trusted);
        ceiling.untrusted = Level::untrusted(&ceiling.trusted);
        let hold = Hold {
            ceiling: &ceiling,
            trust,
            repository: None,
        };
        hold.step(step(work))
    }

    fn lower(level: &mut Level, executor: ExecutorKind, name: LimitName, max: u64) {
        let value = Bound { default: max, max };
        let by = By::Line(9);
        level.limits.insert((executor, name), Ruled { value, by });
    }

    #[test]
    fn a_module_runs_with_what_was_allowed_under_the_names_that_were_looked_at() {
        let held = held(PlannedWork::Wasm(module()), Trust::Trusted, |level| {
            lower(level, ExecutorKind::Wasm, LimitName::Memory, 1 << 20);
            lower(level, ExecutorKind::Wasm, LimitName::Time, 60_000);
            level.isolation.value = Demand::Strict;
        });
        assert_eq!(held.timeout, Duration::from_mins(1));
        assert_eq!(
            held.notes,
            [
                "memory: 1MiB, and not 4GiB as asked (`limits.wasm.memory`, runner.toml line 9)",
                "time: 1m, and not 2h as asked (`limits.wasm.time`, runner.toml line 9)",
            ]
        );
        let PlannedWork::Wasm(wasm) = held.work else {
            panic!("{held:?}");
        };
        assert_eq!(wasm.read[0].what, "src");
        assert_eq!(wasm.net[0].what, "https://api.example.com");
        assert_eq!(wasm.limits.memory_bytes, Some(1 << 20));
        assert_eq!(wasm.limits.time, Some(Duration::from_mins(1)));
        assert_eq!(wasm.limits.output_bytes, Some(64 << 20));
        assert_eq!(wasm.bounds.isolation, Demand::Strict);
    }

    #[test]
    fn a_script_runs_within_what_was_allowed() {
        let held = held(script(), Trust::Trusted, |level| {
            lower(level, ExecutorKind::Script, LimitName::Processes, 10);
            level.script_network.value = false;
            level.rootful_engine.value = false;
        });
        let PlannedWork::Script(script) = held.work else {
            panic!("{held:?}");
        };
        assert_eq!(script.image, "docker.io/library/rust:latest");
        assert_eq!(script.bounds.processes, Some(10));
        assert_eq!(script.bounds.memory_bytes, Some(4 << 30));
        assert!(script.bounds.has_no_network && script.bounds.must_be_rootless);
    }

    #[test]
    fn a_stranger_s_script_is_refused_with_every_reason() {
        let PlannedWork::Refused(refusals) = held(script(), Trust::Untrusted, |_| {}).work else {
            panic!("it may run");
        };
        insta::assert_snapshot!(refusals, @r#"
    line 3: executor `script` is refused: it is not on this host's list for untrusted builds (`executors`, built in); line 3: registry `docker.io` is refused: this host's list for untrusted builds is empty (`registries`, built in)
    "#);
    }

    #[test]
    fn what_is_not_on_the_list_is_refused_with_both_lines() {
        let held = held(PlannedWork::Wasm(module()), Trust::Trusted, |level| {
            let by = By::Line(4);
            level.hosts = Ruled {
                value: Allowed::nothing(),
                by,
            };
        });
        let PlannedWork::Refused(refusals) = held.work else {
            panic!("it may run");
        };
        insta::assert_snapshot!(refusals, @r#"
    line 8: net grant `https://API.example.com:443` is refused: this host's list for trusted builds is empty (`hosts`, runner.toml line 4)
    "#);
    }
}
