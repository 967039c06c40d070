//! The ceiling's two tables: what they mean, and what they cannot mean.

use super::{mistakes, read};
use crate::ceiling::{Allowed, By, Ceiling, Demand, ExecutorKind, LimitName, Ruled};
use crate::config::LEVEL_KEYS;

fn ceiling(text: &str) -> Ceiling {
    read(text).unwrap_or_else(|error| panic!("{error}")).ceiling
}

#[test]
fn what_is_written_counts_with_its_line_and_the_rest_is_built_in() {
    let ceiling = ceiling(
        "slots = 1\n\n[trusted]\nisolation = 'strict'\nhosts = [\n  'https://a.example',\n  'https://b.example',\n]\n",
    );
    let level = &ceiling.trusted;
    assert_eq!(
        level.isolation,
        Ruled {
            value: Demand::Strict,
            by: By::Line(4)
        }
    );
    assert_eq!(level.hosts.by, By::Line(5));
    let lines: Vec<By> = level
        .hosts
        .value
        .entries()
        .iter()
        .map(|entry| entry.by)
        .collect();
    assert_eq!(lines, [By::Line(6), By::Line(7)]);
    assert_eq!(level.registries, Ruled::built_in(Allowed::Any));
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    for key in LEVEL_KEYS {
        if key.trusted.is_empty() {
            continue;
        }
        let strangers = key.untrusted.unwrap_or(key.trusted);
        let text = format!(
            "[trusted]\n{0} = {1}\n[untrusted]\n{0} = {strangers}\n",
            key.name, key.trusted
        );
        let (written, silent) = (ceiling(&text), Ceiling::default());
        for (written, silent) in [
            (written.trusted, silent.trusted),
            (written.untrusted, silent.untrusted),
        ] {
            let same = [
                written.executors.value == silent.executors.value,
                written.isolation.value == silent.isolation.value,
                written.read.value == silent.read.value,
                written.write.value == silent.write.value,
                written.host_read.value == silent.host_read.value,
                written.host_write.value == silent.host_write.value,
                written.hosts.value == silent.hosts.value,
                written.private_ranges.value == silent.private_ranges.value,
                written.registries.value == silent.registries.value,
                written.images.value == silent.images.value,
                written.script_network.value == silent.script_network.value,
                written.rootful_engine.value == silent.rootful_engine.value,
                written.repositories.value == silent.repositories.value,
                written.repository_names.value == silent.repository_names.value,
            ];
            if key.name == "executors" {
                continue;
            }
            assert_eq!(same, [true; 14], "{text}");
        }
    }
}

#[test]
fn an_empty_list_allows_nothing_and_the_word_any_everything() {
    let ceiling = ceiling("[trusted]\nhosts = []\nimages = 'any'\nexecutors = []\n");
    assert_eq!(ceiling.trusted.hosts.value, Allowed::nothing());
    assert_eq!(ceiling.trusted.images.value, Allowed::Any);
    assert_eq!(ceiling.trusted.executors.value, Allowed::nothing());
    assert_eq!(ceiling.untrusted.executors.value, Allowed::nothing());
}

#[test]
fn a_limit_is_a_maximum_or_a_default_with_one() {
    for (text, default, max) in [
        ("memory = '2GiB'", 1 << 30, 2 << 30),
        ("memory = '512MiB'", 512 << 20, 512 << 20),
        ("memory = { default = '64MiB' }", 64 << 20, 4 << 30),
        ("memory = { max = '256MiB' }", 256 << 20, 256 << 20),
        (
            "memory = { default = '64MiB', max = '128MiB' }",
            64 << 20,
            128 << 20,
        ),
    ] {
        let ceiling = ceiling(&format!("[trusted.limits.wasm]\n{text}\n"));
        for level in [&ceiling.trusted, &ceiling.untrusted] {
            let bound = level.limits[&(ExecutorKind::Wasm, LimitName::Memory)];
            assert_eq!(
                (bound.value.default, bound.value.max),
                (default, max),
                "{text}"
            );
            assert_eq!(bound.by, By::Line(2));
        }
    }
}

#[test]
fn whoever_lists_hosts_does_not_give_scripts_every_host_by_silence() {
    let listed = ceiling("[trusted]\nhosts = ['https://a.example']\n").trusted;
    assert_eq!(
        listed.script_network,
        Ruled {
            value: false,
            by: By::Line(2)
        }
    );
    let said = ceiling("[trusted]\nhosts = ['https://a.example']\nscript_network = true\n").trusted;
    assert_eq!(
        said.script_network,
        Ruled {
            value: true,
            by: By::Line(3)
        }
    );
}

#[test]
fn whoever_lists_what_may_be_read_does_not_let_the_rest_be_written_by_silence() {
    let ceiling = ceiling("[trusted]\nread = ['src', 'doc']\n[untrusted]\nread = ['src/lib']\n");
    let (src, lib) = ("src".parse().unwrap(), "src/lib".parse().unwrap());
    assert_eq!(ceiling.trusted.write.by, By::Line(2));
    assert!(ceiling.trusted.write.allows(&src).is_some());
    assert!(
        ceiling
            .trusted
            .write
            .allows(&"other".parse().unwrap())
            .is_none()
    );
    assert!(ceiling.untrusted.write.allows(&lib).is_some());
    assert!(ceiling.untrusted.write.allows(&src).is_none());
    let said = self::ceiling("[trusted]\nread = ['src']\nwrite = 'any'\n").trusted;
    assert_eq!(said.write.value, Allowed::Any);
}

#[test]
fn strangers_have_what_members_have_and_less() {
    let ceiling = ceiling(
        "[trusted]\nread = ['src']\nexecutors = ['script']\n[untrusted]\nread = ['src/lib']\n",
    );
    assert_eq!(ceiling.untrusted.executors.value, Allowed::nothing());
    assert_eq!(ceiling.untrusted.read.by, By::Line(5));
}

#[test]
fn strangers_with_more_than_members_are_a_mistake_with_both_lines() {
    insta::assert_snapshot!(mistakes("[trusted]\nhosts = ['https://a.example']\n[untrusted]\nhosts = ['https://a.example', 'https://b.example']\n"), @r"
    error[exceeds-trusted]: `untrusted.hosts` allows strangers more than `trusted.hosts` allows members
     --> runner.toml:4:31
      |
    4 | hosts = ['https://a.example', 'https://b.example']
      |                               ^^^^^^^^^^^^^^^^^^^
      = help: `trusted.hosts` is on line 2: widen that one, or take this out
    ");
    for (key, trusted, untrusted) in [
        ("executors", "['wasm']", "['script']"),
        ("isolation", "'strict'", "'best'"),
        ("read", "['src']", "['src2']"),
        ("write", "['src/a']", "['src']"),
        ("host_read", "['/srv']", "['/srv2']"),
        ("host_write", "[]", "['/']"),
        ("hosts", "[]", "'any'"),
        ("private_ranges", "['10.0.0.0/16']", "['10.0.0.0/8']"),
        ("registries", "['ghcr.io']", "['ghcr.io:5000']"),
        ("images", "['rust:1']", "['rust']"),
        ("script_network", "false", "true"),
        ("rootful_engine", "false", "true"),
        (
            "repositories",
            "['https://a.example/x/*']",
            "['https://a.example/*']",
        ),
        ("repository_names", "['demo']", "'any'"),
        ("limits.wasm.memory", "'1GiB'", "'2GiB'"),
        (
            "limits.script.processes",
            "{ default = 10, max = 100 }",
            "{ default = 20, max = 100 }",
        ),
    ] {
        let text = format!("[trusted]\n{key} = {trusted}\n[untrusted]\n{key} = {untrusted}\n");
        let said = mistakes(&text);
        assert!(said.starts_with("error[exceeds-trusted]"), "{text}{said}");
        let equal = format!("[trusted]\n{key} = {trusted}\n[untrusted]\n{key} = {trusted}\n");
        assert!(read(&equal).is_ok(), "{equal}");
    }
}

#[test]
fn strangers_cannot_be_given_a_private_range_that_members_lack_by_default() {
    let said = mistakes("[untrusted]\nprivate_ranges = ['10.0.0.0/8']\n");
    assert!(
        said.contains("`trusted.private_ranges` is not written, so what is built in counts"),
        "{said}"
    );
}

#[test]
fn several_mistakes_are_shown_at_once_each_where_it_stands() {
    insta::assert_snapshot!(mistakes(r#"
[trusted]
hosts = ["api.example.com", "https://API.example.com.", 7]
private_ranges = ["10.1.0.0/8", "0.0.0.0/0"]
images = "all"
registires = ["ghcr.io"]

[trusted.limits.wasm]
memory = 4096
time = "90"
output = "10 MB"
disk = { defualt = "1GiB" }
"#), @r#"
    error[bad-value]: `trusted.hosts`: `"api.example.com"` has no scheme; write `https://HOST`, `http://HOST` or `tcp://HOST:PORT`
     --> runner.toml:3:10
      |
    3 | hosts = ["api.example.com", "https://API.example.com.", 7]
      |          ^^^^^^^^^^^^^^^^^

    error[bad-value]: `trusted.hosts`: `"https://API.example.com."` has a dot at its end; write the name without it
     --> runner.toml:3:29
      |
    3 | hosts = ["api.example.com", "https://API.example.com.", 7]
      |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^

    error[bad-value]: `trusted.hosts`: `7` is no text in quotes
     --> runner.toml:3:57
      |
    3 | hosts = ["api.example.com", "https://API.example.com.", 7]
      |                                                         ^

    error[bad-value]: `trusted.private_ranges`: `"10.1.0.0/8"` has bits set behind its prefix; write `10.0.0.0/8`
     --> runner.toml:4:19
      |
    4 | private_ranges = ["10.1.0.0/8", "0.0.0.0/0"]
      |                   ^^^^^^^^^^^^

    error[bad-value]: `trusted.private_ranges`: `"0.0.0.0/0"` is not within a private range; those are 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, fc00::/7, fe80::/10, ::1/128
     --> runner.toml:4:33
      |
    4 | private_ranges = ["10.1.0.0/8", "0.0.0.0/0"]
      |                                 ^^^^^^^^^^^

    error[wrong-kind]: `trusted.images` is a list of texts, or "any", and this is a text
     --> runner.toml:5:10
      |
    5 | images = "all"
      |          ^^^^^

    error[unknown-key]: there is no key `trusted.registires`
     --> runner.toml:6:1
      |
    6 | registires = ["ghcr.io"]
      | ^^^^^^^^^^
      = help: did you mean `trusted.registries`?

    error[wrong-kind]: `trusted.limits.wasm.memory` is a size with its unit, such as "256MiB", and this is a number
     --> runner.toml:9:10
      |
    9 | memory = 4096
      |          ^^^^

    error[bad-value]: `trusted.limits.wasm.time`: `"90"` is not a time; write a whole number with ms, s, m or h, such as "90s"
      --> runner.toml:10:8
       |
    10 | time = "90"
       |        ^^^^

    error[bad-value]: `trusted.limits.wasm.output`: `"10 MB"` is not a size; write a whole number with B, KiB, MiB, GiB or TiB, such as "256MiB"
      --> runner.toml:11:10
       |
    11 | output = "10 MB"
       |          ^^^^^^^

    error[unknown-key]: there is no key `trusted.limits.wasm.disk.defualt`
      --> runner.toml:12:10
       |
    12 | disk = { defualt = "1GiB" }
       |          ^^^^^^^
       = help: there are `default` and `max`
    "#);
}

#[test]
fn an_amount_that_is_none_is_explained() {
    for (text, words) in [
        ("wasm.memory = '8GiB'", "is more than is possible, 4GiB"),
        (
            "wasm.memory = '0B'",
            "is nothing, and no step can run with it",
        ),
        ("wasm.memory = '1024'", "is not a size"),
        ("wasm.memory = '-1GiB'", "is not a size"),
        ("wasm.memory = '17179869184GiB'", "is not a size"),
        ("wasm.memory = '18446744073709551616B'", "is not a size"),
        (
            "wasm.time = 60",
            "is a time with its unit, such as \"90s\", and this is a number",
        ),
        ("wasm.time = '0s'", "is not a time"),
        ("wasm.time = '1d'", "is not a time"),
        ("wasm.time = '169h'", "is more than is possible, 168h"),
        ("wasm.time = '5124095576030431h'", "is not a time"),
        (
            "script.processes = '100'",
            "is a whole number, and this is a text",
        ),
        (
            "script.processes = -1",
            "is a whole number, and this is a number",
        ),
        (
            "script.processes = 99999999999999999999",
            "is a whole number",
        ),
        (
            "wasm.memory = { default = '2GiB', max = '1GiB' }",
            "is more than the maximum, 1GiB",
        ),
        ("wasm = '1GiB'", "is a table, and this is a text"),
    ] {
        let said = mistakes(&format!("[trusted.limits]\n{text}\n"));
        assert!(said.contains(words), "{text}\n{said}");
        assert_eq!(said.matches("error[").count(), 1, "{text}\n{said}");
    }
}

#[test]
fn a_host_of_ones_own_network_needs_a_range_that_includes_it() {
    let alone = "[trusted]\nhosts = ['http://10.0.0.5']\n";
    assert!(mistakes(alone).contains("add \"10.0.0.5\" to `private_ranges`"));
    assert!(read(&format!("{alone}private_ranges = ['10.0.0.0/8']\n")).is_ok());
}

#[test]
fn keys_that_sign_pushes_are_for_members_and_have_to_be_keys() {
    let said = mistakes("[trusted]\npush_keys = ['ssh-rsa AAAA']\n");
    assert!(
        said.contains("is not a public key as OpenSSH writes it"),
        "{said}"
    );
    let said = mistakes("[untrusted]\npush_keys = []\n");
    assert!(said.contains("write it below `[trusted]`"), "{said}");
    assert!(
        ceiling("[trusted]\npush_keys = []\n")
            .trusted
            .push_keys
            .is_some()
    );
    assert!(ceiling("").trusted.push_keys.is_none());
}
