use super::*;

fn read(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("runner.toml")).map_err(|error| error.to_string())
}

/// All mistakes of a file, as a terminal shows them.
fn mistakes(text: &str) -> String {
    match Config::parse(text, Path::new("runner.toml")) {
        Err(ConfigError::Mistakes(mistakes)) => mistakes.render(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_file_means_the_defaults() {
    let file = Some(PathBuf::from("runner.toml"));
    assert_eq!(
        read(""),
        Ok(Config {
            file,
            ..Config::default()
        })
    );
    assert_eq!(Config::default().slots, 2);
}

#[test]
fn a_bad_value_is_refused_with_its_key_and_place() {
    for (text, expected) in [
        (
            "slots = 0",
            "line 1, column 9: `slots`: `0` is not possible; 1 to 256 are",
        ),
        (
            "slots = 65537",
            "line 1, column 9: `slots`: `65537` is not possible; 1 to 256 are",
        ),
        (
            "slots = '2'",
            "line 1, column 9: `slots` is a whole number, and this is a text",
        ),
        (
            "git.file_roots = ['srv']",
            "line 1, column 19: `git.file_roots`: `'srv'` is not absolute",
        ),
        (
            "container.engine = 'tcp://x'",
            "line 1, column 20: `container.engine`: `'tcp://x'` is none of \"auto\", \"none\" and \"unix:///PATH\"",
        ),
        (
            "git = 1",
            "line 1, column 7: `git` is a table, and this is a number; write `[git]` and its keys below",
        ),
    ] {
        assert_eq!(
            read(text).unwrap_err(),
            format!("runner.toml, {expected}"),
            "{text}"
        );
    }
}

#[test]
fn a_key_that_does_not_exist_is_named_with_its_place_and_the_one_that_was_meant() {
    for (text, expected) in [
        (
            "slotz = 1",
            "line 1, column 1: there is no key `slotz`; did you mean `slots`?",
        ),
        (
            "slots = 1\n\n[git]\nfile_root = ['/srv']",
            "line 4, column 1: there is no key `git.file_root`; did you mean `git.file_roots`?",
        ),
        (
            "slots = 1\nfile_roots = ['/srv']",
            "line 2, column 1: there is no key `file_roots`; `file_roots` belongs below `[git]`",
        ),
        (
            "[git]\nslots = 1",
            "line 2, column 1: there is no key `git.slots`; `slots` belongs above the first `[`",
        ),
        (
            "[trustd]",
            "line 1, column 2: there is no key `trustd`; did you mean `trusted`?",
        ),
        (
            "[trusted]\nhost = []",
            "line 2, column 1: there is no key `trusted.host`; did you mean `trusted.hosts`?",
        ),
        (
            "timeout = 1",
            "line 1, column 1: there is no key `timeout`; there are slots, git, container, trusted, untrusted",
        ),
        (
            "[trusted.limits.wasm]\nmemroy = '1GiB'",
            "line 2, column 1: there is no key `trusted.limits.wasm.memroy`; did you mean `trusted.limits.wasm.memory`?",
        ),
        (
            "[trusted.limits]\nmemory = '1GiB'",
            "line 2, column 1: there is no key `trusted.limits.memory`; `memory` belongs below `[trusted.limits.script]`",
        ),
        (
            "[trusted.limits.script]\ndisk = '1GiB'",
            "line 2, column 1: `trusted.limits.script.disk` cannot be held: this version does not bound what a script writes; leave it out",
        ),
        ("slots = 1\nslots = 2", "line 2, column 1: duplicate key"),
    ] {
        assert_eq!(
            read(text).unwrap_err(),
            format!("runner.toml, {expected}"),
            "{text}"
        );
    }
}

mod levels;
mod pages;
