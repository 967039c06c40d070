//! The ceiling from outside: `cofferdam policy`, and `cofferdam step run` under a `runner.toml`.

#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "this file is nothing but tests"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

const PIPELINE: &str = r#"pipelines:
  default:
    - step:
        name: Scan
        wasm:
          module: ./scan.wasm
          grants:
            read: [src, src2]
            net: ["https://api.example.com", "tcp://10.0.0.5:5432"]
          limits: { memory: 2GiB }
    - step:
        name: Test
        image: rust:1.95
        script: [cargo test]
"#;

const CEILING: &str = r#"[trusted]
read = ["src"]
hosts = ["https://api.example.com"]
images = ["rust"]

[trusted.limits.wasm]
memory = "1GiB"
"#;

/// A directory with files, in which the command is run.
struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit status, standard output and standard error of a command line.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test is a process"
    )]
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or(-1);
        (status, text(&output.stdout), text(&output.stderr))
    }
}

fn wasm() -> Vec<u8> {
    wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap()
}

#[test]
fn each_step_shows_what_it_asks_what_it_gets_and_which_line_decided() {
    let place = Place::new(&[("p.yml", PIPELINE), ("c.toml", CEILING)]);
    let (status, out, err) = place.run("policy explain p.yml --ceiling c.toml");
    assert_eq!((status, err.as_str()), (1, ""), "{out}");
    insta::assert_snapshot!(out, @r#"
    p.yml: default, as trusted
    under the ceiling of c.toml

    Scan (line 3) may not run
                 asked                                 given                    decided by
      executor   wasm (line 3)                         wasm                     built in: executors
      read       src (line 8)                          src                      runner.toml line 2: read
      read       src2 (line 8)                         refused                  runner.toml line 2: read
      net        https://api.example.com:443 (line 9)  https://api.example.com  runner.toml line 3: hosts
      net        tcp://10.0.0.5:5432 (line 9)          refused                  runner.toml line 3: hosts
      isolation  –                                     best                     built in: isolation
      memory     2GiB (line 3)                         1GiB                     runner.toml line 7: limits.wasm.memory
      time       2h (line 3)                           2h                       built in: limits.wasm.time
      output     –                                     64MiB                    built in: limits.wasm.output
      disk       –                                     4GiB                     built in: limits.wasm.disk
      line 8: read grant `src2` is refused: it is not on this host's list for trusted builds (`read`, runner.toml line 2)
      line 9: net grant `tcp://10.0.0.5:5432` is refused: it is not on this host's list for trusted builds (`hosts`, runner.toml line 3)

    Test (line 11) may not run
                 asked                given                        decided by
      executor   script (line 11)     script                       built in: executors
      registry   docker.io (line 13)  docker.io                    built in: registries
      image      rust:1.95 (line 13)  docker.io/library/rust:1.95  runner.toml line 4: images
      write      . (line 11)          refused                      runner.toml line 2: write
      isolation  –                    best                         built in: isolation
      network    –                    none                         runner.toml line 3: script_network
      engine     –                    any                          built in: rootful_engine
      memory     –                    4GiB                         built in: limits.script.memory
      time       2h (line 11)         2h                           built in: limits.script.time
      output     –                    100MiB                       built in: limits.script.output
      processes  –                    4096                         built in: limits.script.processes
      files      –                    65536                        built in: limits.script.files
      line 11: write grant `.` is refused: it is not on this host's list for trusted builds (`write`, runner.toml line 2)
    "#);
}

#[test]
fn a_stranger_s_build_is_shown_under_its_own_level() {
    let place = Place::new(&[("p.yml", PIPELINE), ("c.toml", CEILING)]);
    let line = "policy explain p.yml --ceiling c.toml --trust untrusted --step Test";
    let (status, out, _) = place.run(line);
    assert_eq!(status, 1);
    insta::assert_snapshot!(out, @r#"
    p.yml: default, as untrusted
    under the ceiling of c.toml

    Test (line 11) may not run
                 asked                given                        decided by
      executor   script (line 11)     refused                      built in: executors
      registry   docker.io (line 13)  refused                      built in: registries
      image      rust:1.95 (line 13)  docker.io/library/rust:1.95  runner.toml line 4: images
      write      . (line 11)          refused                      runner.toml line 2: write
      isolation  –                    strict                       built in: isolation
      network    –                    none                         built in: script_network
      engine     –                    rootless only                built in: rootful_engine
      memory     –                    4GiB                         built in: limits.script.memory
      time       2h (line 11)         2h                           built in: limits.script.time
      output     –                    100MiB                       built in: limits.script.output
      processes  –                    4096                         built in: limits.script.processes
      files      –                    65536                        built in: limits.script.files
      line 11: executor `script` is refused: it is not on this host's list for untrusted builds (`executors`, built in)
      line 13: registry `docker.io` is refused: this host's list for untrusted builds is empty (`registries`, built in)
      line 11: write grant `.` is refused: it is not on this host's list for untrusted builds (`write`, runner.toml line 2)
    "#);
}

#[test]
fn the_same_can_be_had_for_scripts() {
    let place = Place::new(&[("p.yml", PIPELINE), ("c.toml", CEILING)]);
    let (status, out, _) = place.run("policy explain p.yml --ceiling c.toml --format json");
    assert_eq!(status, 1);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["trust"], "trusted");
    let step = &answer["steps"][0];
    assert_eq!(
        (&step["name"], &step["may_run"]),
        (&"Scan".into(), &false.into())
    );
    let decisions = step["decisions"].as_array().unwrap();
    let refused = decisions.iter().find(|one| one["asked"] == "src2").unwrap();
    insta::assert_json_snapshot!(refused, @r#"
    {
      "asked": "src2",
      "given": null,
      "key": "read",
      "line": 8,
      "outcome": "refused",
      "runner_toml_line": 2,
      "subject": "read",
      "why": "it is not on this host's list for trusted builds"
    }
    "#);
    let (_, out, _) = place.run("policy show --ceiling c.toml --format json");
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["levels"]["trusted"]["hosts"]["line"], 3);
    assert_eq!(
        answer["levels"]["untrusted"]["hosts"]["values"],
        serde_json::json!([])
    );
}

#[test]
fn the_ceiling_in_force_is_shown_with_the_lines_that_decide() {
    let place = Place::new(&[("c.toml", CEILING)]);
    let (status, out, _) = place.run("policy show --ceiling c.toml");
    assert_eq!(status, 0);
    insta::assert_snapshot!(out, @r#"
    The ceiling of c.toml

    trusted builds
      executors                wasm                     built in
                               script                   built in
      isolation                best                     built in
      read                     src                      runner.toml line 2
      write                    src                      runner.toml line 2
      host_read                nothing                  built in
      host_write               nothing                  built in
      hosts                    https://api.example.com  runner.toml line 3
      private_ranges           nothing                  built in
      registries               any                      built in
      images                   docker.io/library/rust   runner.toml line 4
      script_network           false                    runner.toml line 3
      rootful_engine           true                     built in
      repositories             any                      built in
      repository_names         any                      built in
      limits.wasm.memory       1GiB, at most 1GiB       runner.toml line 7
      limits.wasm.time         2h, at most 168h         built in
      limits.wasm.output       64MiB, at most 1TiB      built in
      limits.wasm.disk         4GiB, at most 16TiB      built in
      limits.script.memory     4GiB, at most 4GiB       built in
      limits.script.time       2h, at most 168h         built in
      limits.script.output     100MiB, at most 100MiB   built in
      limits.script.processes  4096, at most 4096       built in
      limits.script.files      65536, at most 65536     built in

    untrusted builds
      executors                wasm                    built in
      isolation                strict                  built in
      read                     src                     runner.toml line 2
      write                    src                     runner.toml line 2
      host_read                nothing                 built in
      host_write               nothing                 built in
      hosts                    nothing                 built in
      private_ranges           nothing                 built in
      registries               nothing                 built in
      images                   docker.io/library/rust  runner.toml line 4
      script_network           false                   built in
      rootful_engine           false                   built in
      repositories             any                     built in
      repository_names         any                     built in
      limits.wasm.memory       1GiB, at most 1GiB      runner.toml line 7
      limits.wasm.time         2h, at most 168h        built in
      limits.wasm.output       64MiB, at most 1TiB     built in
      limits.wasm.disk         4GiB, at most 16TiB     built in
      limits.script.memory     4GiB, at most 4GiB      built in
      limits.script.time       2h, at most 168h        built in
      limits.script.output     100MiB, at most 100MiB  built in
      limits.script.processes  4096, at most 4096      built in
      limits.script.files      65536, at most 65536    built in
    "#);
}

#[test]
fn a_question_without_an_answer_ends_with_2() {
    let place = Place::new(&[("p.yml", PIPELINE), ("c.toml", "[trusted]\nhots = []\n")]);
    for (line, words) in [
        ("policy explain", "there is neither cofferdam.yml nor"),
        ("policy explain missing.yml", "missing.yml"),
        (
            "policy explain p.yml --step Nobody",
            "there is no step \"Nobody\" in default",
        ),
        (
            "policy explain p.yml --ceiling missing.toml",
            "could not read missing.toml",
        ),
        (
            "policy explain p.yml --ceiling c.toml",
            "help: did you mean `trusted.hosts`?",
        ),
        ("policy show --ceiling c.toml", "--> c.toml:2:1"),
    ] {
        let (status, _, err) = place.run(line);
        assert!(
            status == 2 && err.contains(words),
            "{line}: {status}\n{err}"
        );
    }
}

#[test]
fn a_file_of_the_repository_is_no_ceiling() {
    let place = Place::new(&[
        ("runner.toml", "[trusted]\nexecutors = []\n"),
        ("p.yml", PIPELINE),
    ]);
    let (_, out, _) = place.run("policy show");
    assert!(!out.contains("executors         nothing"), "{out}");
}

#[test]
fn a_file_that_others_may_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new(&[("c.toml", CEILING)]);
    let all = fs::Permissions::from_mode(0o666);
    fs::set_permissions(place.path().join("c.toml"), all).unwrap();
    let (status, _, err) = place.run("policy show --ceiling c.toml");
    assert_eq!(status, 2);
    assert_eq!(
        err,
        "cofferdam: c.toml is not used: others may write to it (mode 0666) and raise the ceiling; say chmod go-w: c.toml\n"
    );
}

#[test]
fn a_module_run_by_hand_is_held_to_the_ceiling() {
    let files = [("c.toml", CEILING), ("src/a", ""), ("src2/a", "")];
    let place = Place::new(&files);
    fs::write(place.path().join("guest.wasm"), wasm()).unwrap();
    std::os::unix::fs::symlink("../src2", place.path().join("src/link")).unwrap();
    for (options, status, words) in [
        ("--read src", 0, ""),
        ("--read ./src//a", 0, ""),
        (
            "--read src2",
            126,
            "read grant `src2` is refused: it is not on this host's list",
        ),
        ("--read src/link", 126, "read grant `src2` is refused"),
        ("--read .", 126, "read grant `.` is refused"),
        (
            "--read /usr",
            126,
            "read grant `/usr` is refused: this host's list for trusted builds is empty (`host_read`",
        ),
        (
            "--memory 2GiB",
            0,
            "memory: 1GiB, and not 2GiB as asked (`limits.wasm.memory`, runner.toml line 7)",
        ),
    ] {
        let line = format!("step run --ceiling c.toml {options} guest.wasm");
        let (got, _, err) = place.run(&line);
        assert!(got == status && err.contains(words), "{line}: {got}\n{err}");
    }
}

#[test]
fn the_commands_of_the_page_are_what_they_say() {
    let page = include_str!("../../docs/ceiling.md");
    let place = Place::new(&[]);
    let mut count = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("$ ")) {
        if let Some(text) = line.strip_prefix("printf '") {
            let text = text.split('\'').next().unwrap().replace("\\n", "\n");
            fs::write(place.path().join("cofferdam.yml"), text).unwrap();
            continue;
        }
        let (status, out, err) = place.run(line.strip_prefix("cofferdam ").unwrap());
        assert_eq!((status, err.as_str()), (0, ""), "{line}\n{out}");
        count += 1;
    }
    assert_eq!(count, 4);
}
