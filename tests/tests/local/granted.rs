//! What a module is granted beside paths, as preview 1 and as a component: secrets as files, a clock that stands, seeded
//! numbers; and modules that ship with the program.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::Laptop;
use cofferdam_tests::process::run;

const VALUE: &str = "correct-horse-battery";

/// What [`commit`] commits at, in nanoseconds since 1970.
const COMMITTED_NANOS: &str = "1767323045000000000";

/// Each guest once as a preview 1 module and once as a component.
const FORMS: [&str; 2] = ["", ".component"];

fn commit(laptop: &Laptop) -> Result<String> {
    run(laptop.repository.git().args(["add", "--all"]))?;
    let mut git = laptop.repository.git();
    git.args(["commit", "--quiet", "-m", "Begin"])
        .env("GIT_AUTHOR_DATE", "2001-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z");
    run(&mut git)?;
    let head = run(laptop.repository.git().args(["rev-parse", "HEAD"]))?;
    Ok(String::from_utf8(head.stdout)?.trim().to_owned())
}

/// A pipeline of one wasm step for each name and flow mapping.
fn write(laptop: &Laptop, steps: &[(&str, String)]) -> Result<()> {
    let mut file = "pipelines:\n  default:\n".to_owned();
    for (name, wasm) in steps {
        writeln!(
            file,
            "    - step:\n        name: {name}\n        wasm: {wasm}"
        )?;
    }
    laptop.repository.write("bitbucket-pipelines.yml", file)
}

/// The lines of a step's log that begin with a word.
fn said(laptop: &Laptop, step: &str, word: &str) -> Result<Vec<String>> {
    let log = laptop.log(step)?;
    let lines = log.lines().filter_map(|line| line.strip_prefix(word));
    Ok(lines.map(|line| line.trim().to_owned()).collect())
}

#[test]
fn a_fixed_clock_is_the_time_of_the_commit_that_is_checked_out() -> Result<()> {
    for form in FORMS {
        let laptop = Laptop::new()?;
        laptop.add_guest(&format!("now{form}"))?;
        let wasm = format!("{{module: ci/now{form}.wasm, grants: {{clock: fixed}}}}");
        write(&laptop, &[("use", wasm)])?;
        let ran = laptop.run(&["run", "--plain", "--branch", "main"])?;
        ensure!(ran.status == 0, "{ran:?}");
        let at = said(&laptop, "use", "at")?;
        ensure!(at == ["0", "0"], "before the first commit: {at:?}");

        commit(&laptop)?;
        for is_changed in [false, true] {
            if is_changed {
                laptop.repository.write("new", "not committed")?;
            }
            let ran = laptop.run(&["run", "--plain"])?;
            ensure!(ran.status == 0, "{ran:?}");
            let at = said(&laptop, "use", "at")?;
            ensure!(at == [COMMITTED_NANOS; 2], "{at:?}");
            ensure!(said(&laptop, "use", "waited")? == ["true"]);
        }
    }
    Ok(())
}

#[test]
fn seeded_numbers_are_those_of_the_commit_and_the_steps_name() -> Result<()> {
    let mut of_forms = BTreeSet::new();
    for form in FORMS {
        let laptop = Laptop::new()?;
        laptop.add_guest(&format!("now{form}"))?;
        let wasm =
            |random: &str| format!("{{module: ci/now{form}.wasm, grants: {{random: {random}}}}}");
        let steps = [
            ("one", wasm("seeded")),
            ("two", wasm("seeded")),
            ("real", wasm("real")),
        ];
        write(&laptop, &steps)?;
        let head = commit(&laptop)?;
        let mut runs = Vec::new();
        for file in ["", "changed", "again"] {
            laptop.repository.write("new", file)?;
            let ran = laptop.run(&["run", "--plain"])?;
            ensure!(ran.status == 0, "{ran:?}");
            runs.push(["one", "two", "real"].map(|step| said(&laptop, step, "random")));
        }
        let runs: Vec<[Vec<String>; 3]> = runs
            .into_iter()
            .map(|[one, two, real]| Ok([one?, two?, real?]))
            .collect::<Result<_>>()?;
        let [one, two, real] = runs.first().context("there was a run")?;
        ensure!(one.len() == 1 && one != two && one != real, "{runs:?}");
        for [again, other, new] in &runs[1..] {
            ensure!(one == again && two == other && real != new, "{runs:?}");
        }
        // Whoever has the commit has the numbers, on any machine.
        let seed = format!("seeded={head}:one");
        let module = format!("ci/now{form}.wasm");
        let ran = laptop.run(&["step", "run", "--random", &seed, &module])?;
        ensure!(ran.shown.contains(&one[0]), "{ran:?} {one:?}");
        // The commit holds the module, so each form has a commit of its own; by hand both get one seed.
        let ran = laptop.run(&["step", "run", "--random", "seeded=x", &module])?;
        let number = ran.shown.lines().last().context("it says a number")?;
        of_forms.insert(number.to_owned());
    }
    ensure!(of_forms.len() == 1, "{of_forms:?}");
    Ok(())
}

#[test]
fn a_secret_file_is_there_for_the_step_that_was_granted_it_and_nowhere_else() -> Result<()> {
    for form in FORMS {
        let laptop = Laptop::new()?;
        laptop.add_guest(&format!("fs{form}"))?;
        laptop.add_guest(&format!("hello{form}"))?;
        let fs = |words: &str, grants: &str| {
            format!("{{module: ci/fs{form}.wasm, args: [{words}], grants: {{{grants}}}}}")
        };
        let key = "secrets: [{file: KEY}]";
        let hello = format!("{{module: ci/hello{form}.wasm, grants: {{{key}}}}}");
        let steps = [
            ("read", fs("read, /run/secrets/KEY", key)),
            ("list", fs("list, /run/secrets", key)),
            (
                "beside",
                fs("read, /run/secrets/KEY", &format!("write: [.], {key}")),
            ),
            ("environment", hello),
            (
                "workspace",
                fs("list, .", &format!("write: [out], {key}")) + "\n        artifacts: [\"**\"]",
            ),
            // The last one, because it ends the build.
            (
                "other",
                fs(
                    "read, /run/secrets/KEY",
                    "read: [.], secrets: [{file: OTHER}]",
                ),
            ),
        ];
        write(&laptop, &steps)?;
        commit(&laptop)?;
        let mut command =
            laptop.cofferdam(&["run", "--plain", "--secret", "KEY", "--secret", "OTHER"])?;
        let value = format!("{VALUE}\nsecond {VALUE}\n");
        let output = command.env("KEY", value).env("OTHER", "x").output()?;
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        for step in ["read", "beside"] {
            let log = laptop.log(step)?;
            ensure!(log.contains("$KEY") && log.contains("passed"), "{log}");
        }
        ensure!(said(&laptop, "list", "file")? == ["KEY"]);
        let log = laptop.log("environment")?;
        ensure!(log.contains("env KEY_FILE=/run/secrets/KEY\n"), "{log}");
        ensure!(!log.contains("env KEY="), "{log}");
        let log = laptop.log("other")?;
        ensure!(log.contains("NotFound") && log.contains("failed"), "{log}");
        ensure!(
            output.status.code() == Some(1) && !shown.contains(VALUE),
            "{shown}"
        );
        ensure!(
            !holds(&laptop.path("."), VALUE.as_bytes())?,
            "it is on the disk"
        );
    }
    Ok(())
}

/// Whether any file below a directory holds some bytes.
fn holds(dir: &std::path::Path, bytes: &[u8]) -> Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, bytes)?
        } else {
            let content = std::fs::read(&path)?;
            content.windows(bytes.len()).any(|part| part == bytes)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn a_secret_file_that_was_not_given_or_must_not_be_ends_the_step_with_its_line() -> Result<()> {
    let laptop = Laptop::new()?;
    for guest in ["hello", "fs"] {
        laptop.add_guest(guest)?;
    }
    let cases = [
        (
            "{module: ci/hello.wasm, grants: {secrets: [{file: NONE}]}}",
            "line 5: this step lacks the secret `NONE`; give it with --secret or --secrets",
        ),
        (
            "{module: ci/hello.wasm, env: {KEY_FILE: x}, grants: {secrets: [{file: KEY}]}}",
            "secret grant `file: KEY`: `KEY_FILE` is to hold its path, and is set to something else",
        ),
        (
            "{module: ci/hello.wasm, grants: {write: [run/secrets], secrets: [{file: KEY}]}}",
            "line 5: write grant `run/secrets`: /run/secrets is where the secrets of this step are",
        ),
        (
            "{module: {artifact: a.wasm, from: build}, grants: {secrets: [{file: KEY}]}}",
            "line 5: a module from an artifact may hold no secret: another step made it",
        ),
    ];
    for (wasm, why) in cases {
        write(&laptop, &[("use", wasm.to_owned())])?;
        commit(&laptop)?;
        let mut command = laptop.cofferdam(&["run", "--plain", "--secret", "KEY"])?;
        let output = command.env("KEY", VALUE).output()?;
        let log = laptop.log("use")?;
        ensure!(
            output.status.code() == Some(1) && log.contains(why),
            "{log}"
        );
    }
    // A name that is a path is refused with the file.
    let wasm = "{module: ci/hello.wasm, grants: {secrets: [{file: ../KEY}]}}";
    write(&laptop, &[("use", wasm.to_owned())])?;
    let ran = laptop.run(&["run", "--plain"])?;
    ensure!(
        ran.status == 1 && ran.complained.contains("`secrets`"),
        "{ran:?}"
    );
    Ok(())
}

#[test]
fn a_first_party_step_needs_no_file_in_the_repository() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.repository.write("src/greeting.txt", "hello\n")?;
    let wasm =
        |name: &str| format!("{{module: \"step:{name}\", args: [src], grants: {{read: [src]}}}}");
    write(&laptop, &[("scan", wasm("secret-scan"))])?;
    commit(&laptop)?;
    let ran = laptop.run(&["run", "--plain"])?;
    let log = laptop.log("scan")?;
    ensure!(
        ran.status == 0 && log.contains("1 files scanned, 0 findings"),
        "{ran:?} {log}"
    );

    write(&laptop, &[("scan", wasm("secret-scam"))])?;
    let ran = laptop.run(&["run", "--plain"])?;
    let log = laptop.log("scan")?;
    let why = "line 5: no step `secret-scam` ships with this runner; there are: checksum-manifest, secret-scan";
    ensure!(ran.status == 1 && log.contains(why), "{ran:?} {log}");
    Ok(())
}

/// The build's own facts are there, and nothing of whoever started it.
#[test]
fn a_modules_environment_is_the_builds_and_its_own() -> Result<()> {
    for form in FORMS {
        let laptop = Laptop::new()?;
        laptop.add_guest(&format!("hello{form}"))?;
        let wasm = format!("{{module: ci/hello{form}.wasm, env: {{LEVEL: \"2\"}}}}");
        write(&laptop, &[("use", wasm)])?;
        commit(&laptop)?;
        let mut command = laptop.cofferdam(&["run", "--plain", "--secret", "TOKEN"])?;
        run(command
            .env("TOKEN", VALUE)
            .env("AMBIENT", "1")
            .env("LEVEL", "9"))?;
        let log = laptop.log("use")?;
        let names: Vec<&str> = log
            .lines()
            .filter_map(|line| Some(line.strip_prefix("env ")?.split_once('=')?.0))
            .collect();
        let is_known =
            |name: &&str| matches!(*name, "CI" | "PWD" | "LEVEL") || name.starts_with("BITBUCKET_");
        ensure!(names.iter().all(is_known), "{names:?}");
        ensure!(names.contains(&"BITBUCKET_COMMIT"), "{names:?}");
        ensure!(log.contains("env LEVEL=2\n"), "{log}");
    }
    Ok(())
}
