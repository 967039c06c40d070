//! Builds every guest: the first-party steps and the tests' own, in Rust, Go and C.
//!
//! From sources in the checkout to `target/guests/*.wasm`, with `SHA256SUMS`, and `missing.json` for
//! what could not be built *here* because a toolchain is not to be had. A guest whose source does not
//! compile is another thing: that is an error. What did not change is not built again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result};
use checksum_manifest::{digest, manifest};
use serde_json::{Value, json};

use crate::host::{Host, progress};

mod recipes;
mod rust_target;
mod stamp;

pub(crate) use rust_target::{Route, TARGET, Toolchain};

use recipes::Recipe;

/// A guest that this host cannot build, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The module's file name.
    pub(crate) guest: String,
    pub(crate) reason: String,
}

/// Builds what is not built yet, and writes the two lists.
pub(crate) fn build(host: &Host, route: Route) -> Result<Vec<Missing>> {
    fs::create_dir_all(host.guests())?;
    let lock = File::create(host.guests().join("lock"))?;
    lock.lock().context("cannot lock the guests' directory")?;
    // Each family has its own compiler, and each of these spends half its time on one core.
    let families = [
        vec![
            recipes::rust(host, route)?,
            recipes::components(host, route)?,
        ],
        vec![recipes::go(host)],
        vec![recipes::c(host)],
    ];
    let results: Vec<Result<Vec<Missing>>> = thread::scope(|scope| {
        let workers: Vec<_> = families
            .iter()
            .map(|family| scope.spawn(move || follow_all(host, family)))
            .collect();
        let result = |worker: ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        workers.into_iter().map(result).collect()
    });
    let missing = results.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let known: BTreeSet<&str> = families
        .iter()
        .flatten()
        .flat_map(Recipe::outputs)
        .collect();
    remove_unknown(host, &known)?;
    write_missing(host, &missing)?;
    write_checksums(host)?;
    Ok(missing)
}

/// What the last [`build`] could not build.
pub(crate) fn read_missing(host: &Host) -> Result<Vec<Missing>> {
    let path = host.guests().join("missing.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let entries: Vec<Value> = serde_json::from_str(&text)?;
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("?").to_owned();
    let read = |entry| Missing {
        guest: word(entry, "guest"),
        reason: word(entry, "reason"),
    };
    Ok(entries.iter().map(read).collect())
}

fn follow_all(host: &Host, family: &[Recipe<'_>]) -> Result<Vec<Missing>> {
    let missing: Result<Vec<_>> = family.iter().map(|recipe| follow(host, recipe)).collect();
    Ok(missing?.concat())
}

fn follow(host: &Host, recipe: &Recipe<'_>) -> Result<Vec<Missing>> {
    progress::stage(recipe.name, || {
        let outputs: Vec<_> = recipe
            .outputs()
            .map(|name| host.guests().join(name))
            .collect();
        let prepared = match (recipe.prepare)() {
            Ok(prepared) => prepared,
            Err(error) => {
                let reason = format!("{error:#}");
                let missing = recipe
                    .outputs()
                    .map(|guest| Missing {
                        guest: guest.to_owned(),
                        reason: reason.clone(),
                    })
                    .collect();
                // One from an earlier day must not pass for today's.
                outputs
                    .iter()
                    .filter(|path| path.exists())
                    .try_for_each(fs::remove_file)?;
                return Ok((
                    missing,
                    format!("missing: {}", reason.lines().next().unwrap_or("?")),
                ));
            }
        };
        let key = stamp::key(&host.root, &recipe.sources, &prepared.identity)?;
        let summary = |how: &str| format!("{} modules, {how}", outputs.len());
        if stamp::is_current(host, recipe.name, &key) && outputs.iter().all(|path| path.is_file()) {
            return Ok((Vec::new(), summary("unchanged")));
        }
        (prepared.build)()?;
        stamp::write(host, recipe.name, &key)?;
        Ok((Vec::new(), summary(&prepared.origin)))
    })
}

fn remove_unknown(host: &Host, known: &BTreeSet<&str>) -> Result<()> {
    for name in modules(host)?
        .iter()
        .filter(|name| !known.contains(name.as_str()))
    {
        fs::remove_file(host.guests().join(name))?;
    }
    Ok(())
}

fn modules(host: &Host) -> Result<BTreeSet<String>> {
    let paths = fs::read_dir(host.guests())?
        .flatten()
        .map(|entry| entry.path());
    let modules = paths.filter(|path| path.extension() == Some("wasm".as_ref()));
    Ok(modules
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect())
}

fn write_missing(host: &Host, missing: &[Missing]) -> Result<()> {
    let entries: Vec<_> = missing
        .iter()
        .map(|Missing { guest, reason }| json!({ "guest": guest, "reason": reason }))
        .collect();
    let text = serde_json::to_string_pretty(&entries)?;
    Ok(fs::write(host.guests().join("missing.json"), text + "\n")?)
}

fn write_checksums(host: &Host) -> Result<()> {
    let digest = |name: String| Ok((name.clone(), digest::of_file(&host.guests().join(name))?));
    let listed = modules(host)?
        .into_iter()
        .map(digest)
        .collect::<Result<_>>()?;
    Ok(fs::write(
        host.guests().join("SHA256SUMS"),
        manifest::render(&listed),
    )?)
}
