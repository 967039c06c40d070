//! Holds a step that somebody runs by hand to the ceiling.
//!
//! Below the directory in which the command was given, a path counts as one of a workspace; elsewhere it is one of this
//! host. What is compared is where a path really leads, as it was opened. Who has no `runner.toml` has set no ceiling for
//! their own files: then only limits and isolation are decided here.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use cofferdam_protocol::job_spec::Trust;
use ipnet::IpNet;

use super::{Failure, OUTPUT_BYTES_MAX, StepRunArgs, chain, complain};
use crate::ceiling::{
    Asked, Decision, Effective, ExecutorKind, HostPath, IpRange, LimitName, Refusal, Refusals,
    Wish, weigh,
};
use crate::config::{Config, Environment};
use crate::grant::{Access, Grants, PathGrant, real_path};
use crate::receipt::GrantRecord;
use crate::receipt::json::NotRun;

/// What the step gets, or why it may not run. Says where it gets less than was asked for.
pub(super) fn held(
    args: &StepRunArgs,
    grants: &Grants,
    environment: &Environment,
) -> Result<(Effective, Vec<IpNet>), Failure> {
    let config = Config::load_own(args.ceiling.as_deref(), environment)
        .map_err(|error| Failure::error(chain(&error)))?;
    let mut asked = Asked::nothing(ExecutorKind::Wasm);
    asked.limits = limits(args);
    if config.file.is_some() {
        let here = File::open(".")
            .and_then(real_path)
            .map_err(|error| Failure::error(format!("this directory cannot be found: {error}")))?;
        ask(&mut asked, grants, &here)?;
        asked.net = args.net.iter().map(|origin| wish(origin)).collect();
        if !args.net_private.is_empty() {
            return Err(Failure::error(
                "--net-private: your runner.toml says which private ranges may be reached (`private_ranges`)".to_owned(),
            ));
        }
    }
    let (given, decisions) = weigh(&asked, &config.ceiling, Trust::Trusted);
    for note in decisions.iter().filter_map(Decision::lowered) {
        complain(&note);
    }
    let refusals: Vec<Refusal> = decisions
        .into_iter()
        .filter_map(Decision::refusal)
        .collect();
    if refusals.is_empty() {
        let private = match config.file {
            Some(_) => given.private_ranges.iter().map(IpRange::network).collect(),
            None => args.net_private.clone(),
        };
        return Ok((given, private));
    }
    let records = refusals.iter().map(|refusal| GrantRecord {
        kind: "ceiling",
        what: refusal.what.clone(),
        refused: Some(refusal.why.clone()),
    });
    Err(Failure {
        grants: records.collect(),
        why: NotRun::Refused(Refusals(refusals).to_string()),
    })
}

fn wish(what: &str) -> Wish {
    Wish {
        what: what.to_owned(),
        line: None,
    }
}

fn limits(args: &StepRunArgs) -> BTreeMap<LimitName, u64> {
    let time = args
        .time
        .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let asked = [
        (LimitName::Memory, args.memory),
        (LimitName::Time, time),
        // Nothing of it is kept here: whoever reads it has asked for it.
        (
            LimitName::Output,
            Some(args.output.unwrap_or(OUTPUT_BYTES_MAX)),
        ),
        (LimitName::Disk, args.disk),
    ];
    asked
        .into_iter()
        .filter_map(|(name, amount)| Some((name, amount?)))
        .collect()
}

/// Puts each path into the list that it belongs to.
fn ask(asked: &mut Asked, grants: &Grants, here: &Path) -> Result<(), Failure> {
    let parse = |path: &Path| {
        let text = path
            .to_str()
            .ok_or("is not UTF-8, and no ceiling can name it".to_owned());
        let parsed = text.and_then(|text| text.parse().map_err(|why| format!("{why}")));
        parsed.map_err(|why| Failure::error(format!("{} {why}", path.display())))
    };
    let here: HostPath = parse(here)?;
    for PathGrant { host, wanted, .. } in &grants.paths {
        let path: HostPath = parse(&host.path)?;
        let inside = here.inside(&path);
        let what = match &inside {
            Some(inside) => inside.to_string(),
            None => path.to_string(),
        };
        let wish = Wish { what, line: None };
        match (wanted.access, inside.is_some()) {
            (Access::Read, true) => asked.read.push(wish),
            (Access::Write, true) => asked.write.push(wish),
            (Access::Read, false) => asked.host_read.push(wish),
            (Access::Write, false) => asked.host_write.push(wish),
        }
    }
    Ok(())
}
