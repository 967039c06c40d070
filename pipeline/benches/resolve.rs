//! How long it takes to resolve the files that real teams have, and the largest ones.
//!
//! Prints a table: the median and the slowest of many runs beside the goal, and ends with an error if a median misses its
//! goal. Run it with `just bench`: the profile that is tested is the one that counts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use cofferdam_pipeline::{ChangedFiles, Outcome, Push, Reference, resolve};

/// Enough that the median of a shared machine stands still.
const RUNS: usize = 301;

fn main() -> std::io::Result<()> {
    let cases = [
        ("median real file, 1 kB", small(), Duration::from_millis(1)),
        (
            "largest real file, 20 kB, 88 steps",
            large(),
            Duration::from_millis(2),
        ),
        (
            "88 steps by aliases, 6 kB",
            aliased(),
            Duration::from_millis(2),
        ),
    ];
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:36} {:>7} {:>9} {:>9} {:>9}",
        "file", "bytes", "median", "slowest", "goal"
    )?;
    let mut is_missed = false;
    for (name, source, goal) in cases {
        let mut times: Vec<Duration> = (0..RUNS).map(|_| timed(&source)).collect();
        times.sort_unstable();
        let (median, slowest) = (times[RUNS / 2], times[RUNS - 1]);
        is_missed |= median > goal;
        writeln!(
            out,
            "{name:36} {:>7} {:>6} µs {:>6} µs {:>6} µs",
            source.len(),
            median.as_micros(),
            slowest.as_micros(),
            goal.as_micros()
        )?;
    }
    if is_missed {
        return Err(std::io::Error::other("a goal was missed"));
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is the time of this machine"
)]
fn timed(source: &str) -> Duration {
    let push = Push {
        reference: Reference::Branch("main".to_owned()),
        commit_message: "Add a feature".to_owned(),
        custom: None,
    };
    let begin = Instant::now();
    let resolution = resolve(source.as_bytes(), &push, ChangedFiles::Unknown);
    let took = begin.elapsed();
    assert!(
        matches!(resolution.outcome, Outcome::Planned(_)),
        "{:#?}",
        resolution.diagnostics
    );
    took
}

fn small() -> String {
    let mut source = "image: node:22\n\npipelines:\n  default:\n".to_owned();
    steps(&mut source, 4);
    source
}

fn large() -> String {
    let mut source = "image: node:22\npipelines:\n  branches:\n    main:\n".to_owned();
    steps(&mut source, 88);
    source
}

fn steps(source: &mut String, count: usize) {
    for step in 0..count {
        write!(
            source,
            "      - step:
          name: Build part {step} of the product
          caches: [node]
          script: # what a person would do
            - npm ci --no-audit
            - \"npm run build -- --part {step}\"
            - npm test
          artifacts:
            - dist/part-{step}/**
"
        )
        .expect("a string takes every text");
    }
}

fn aliased() -> String {
    let mut source = "definitions:
  steps:
    - step: &build
        name: Build
        caches: [node, pip]
        script: [npm ci, npm run build, npm test]
        artifacts: [dist/**]
pipelines:
  default:
"
    .to_owned();
    for step in 0..88 {
        write!(
            source,
            "    - step:
        <<: *build
        name: Build part {step}
"
        )
        .expect("a string takes every text");
    }
    source
}
