//! What a person reads when a step may not run.

use super::*;

fn wish(what: &str, line: u32) -> Wish {
    Wish {
        what: what.to_owned(),
        line: Some(line),
    }
}

fn on_line<T: FromStr<Err: Debug>>(line: u32, entries: &[&str]) -> Ruled<Allowed<T>> {
    let by = By::Line(line);
    let entry = |text: &&str| Ruled {
        value: parsed(text),
        by,
    };
    Ruled {
        value: Allowed::Only(entries.iter().map(entry).collect()),
        by,
    }
}

/// What a module that asks for this is told, one line for each refusal.
fn said(change: impl FnOnce(&mut Asked), trust: Trust) -> String {
    let mut ceiling = Ceiling::default();
    ceiling.trusted.hosts = on_line(5, &["https://api.example.com"]);
    ceiling.trusted.read = on_line(6, &["src"]);
    ceiling.trusted.write = on_line(7, &["target"]);
    ceiling.trusted.registries = on_line(8, &["docker.io"]);
    ceiling.trusted.images = on_line(9, &["rust:1.95"]);
    ceiling.trusted.repositories = on_line(10, &["https://git.example/team/*"]);
    ceiling.untrusted = Level::untrusted(&ceiling.trusted);
    let mut asked = Asked::nothing(ExecutorKind::Wasm);
    asked.line = Some(20);
    change(&mut asked);
    match effective(&asked, &ceiling, trust) {
        Ok(_) => "allowed".to_owned(),
        Err(Refusals(refusals)) => {
            let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    }
}

fn member(change: impl FnOnce(&mut Asked)) -> String {
    said(change, Trust::Trusted)
}

#[test]
fn a_refusal_names_what_is_missing_the_line_that_asks_and_the_line_that_says_no() {
    insta::assert_snapshot!(member(|asked| {
        asked.read = vec![wish("src2", 21), wish("target/x", 22), wish("../etc", 23)];
        asked.write = vec![wish("src", 24)];
        asked.net = vec![wish("https://evil.example", 25), wish("http://169.254.169.254", 26)];
    }), @r#"
    line 21: read grant `src2` is refused: it is not on this host's list for trusted builds (`read`, runner.toml line 6)
    line 23: read grant `../etc` is refused: it leads upwards by `..` (`read`, runner.toml line 6)
    line 24: write grant `src` is refused: it is not on this host's list for trusted builds (`write`, runner.toml line 7)
    line 25: net grant `https://evil.example` is refused: it is not on this host's list for trusted builds (`hosts`, runner.toml line 5)
    line 26: net grant `http://169.254.169.254` is refused: it is not on this host's list for trusted builds (`hosts`, runner.toml line 5)
    "#);
}

#[test]
fn a_stranger_is_told_what_strangers_may_not() {
    insta::assert_snapshot!(said(|asked| {
        *asked = Asked::script(wish("ghcr.io/x", 30), 29);
        asked.net = vec![wish("https://api.example.com", 31)];
    }, Trust::Untrusted), @r#"
    line 29: executor `script` is refused: it is not on this host's list for untrusted builds (`executors`, built in)
    line 30: registry `ghcr.io` is refused: this host's list for untrusted builds is empty (`registries`, built in)
    line 30: image `ghcr.io/x` is refused: it is not on this host's list for untrusted builds (`images`, runner.toml line 9)
    line 29: write grant `.` is refused: it is not on this host's list for untrusted builds (`write`, runner.toml line 7)
    line 31: net grant `https://api.example.com` is refused: this host's list for untrusted builds is empty (`hosts`, built in)
    "#);
}

#[test]
fn spellings_that_mean_the_same_get_the_same() {
    for (text, is_allowed) in [
        ("https://API.EXAMPLE.com:443/", true),
        ("https://api.example.com.", false),
        ("https://api.example.com:8443", false),
        ("http://api.example.com", false),
        ("tcp://api.example.com:443", false),
        ("https://аpi.example.com", false),
    ] {
        let said = member(|asked| asked.net = vec![wish(text, 1)]);
        assert_eq!(said == "allowed", is_allowed, "{text}: {said}");
    }
    for (text, is_allowed) in [
        ("src", true),
        ("./src//deep/", true),
        ("src2", false),
        ("SRC", false),
        ("/src", false),
        ("src/../..", false),
        ("", false),
    ] {
        let said = member(|asked| asked.read = vec![wish(text, 1)]);
        assert_eq!(said == "allowed", is_allowed, "{text}: {said}");
    }
}

#[test]
fn an_image_is_held_to_registry_and_name() {
    for (image, is_allowed) in [
        ("rust:1.95", true),
        ("docker.io/library/rust:1.95", true),
        ("index.docker.io/rust:1.95", true),
        ("rust", false),
        ("rust:1.96", false),
        ("ghcr.io/library/rust:1.95", false),
        ("docker.io:443/library/rust:1.95", false),
        ("localhost/rust:1.95", false),
    ] {
        let mut ceiling = Ceiling::default();
        ceiling.trusted.registries = on_line(1, &["docker.io"]);
        ceiling.trusted.images = on_line(2, &["rust:1.95"]);
        let asked = Asked::script(wish(image, 3), 2);
        let answer = effective(&asked, &ceiling, Trust::Trusted);
        assert_eq!(answer.is_ok(), is_allowed, "{image}: {answer:?}");
    }
}

#[test]
fn a_script_works_in_the_whole_workspace_and_needs_all_of_it() {
    let said = member(|asked| *asked = Asked::script(wish("rust:1.95", 30), 29));
    assert_eq!(
        said,
        "line 29: write grant `.` is refused: it is not on this host's list for trusted builds (`write`, runner.toml line 7)"
    );
}

#[test]
fn a_repository_is_refused_by_its_address_or_its_name() {
    let of = |address: &str| {
        let repository = Repository {
            address: address.to_owned(),
            name: "demo".to_owned(),
        };
        member(|asked| asked.repository = Some(repository))
    };
    assert_eq!(of("https://git.example/team/app.git"), "allowed");
    assert_eq!(
        of("https://git.example/team2/app.git"),
        "repository `https://git.example/team2/app.git` is refused: it is not on this host's list for trusted builds (`repositories`, runner.toml line 10)"
    );
    let mut ceiling = Ceiling::default();
    ceiling.trusted.repository_names = on_line(3, &["demo"]);
    let mut asked = Asked::nothing(ExecutorKind::Wasm);
    let mut named = |name: &str| {
        let (address, name) = (String::new(), name.to_owned());
        asked.repository = Some(Repository { address, name });
        effective(&asked, &ceiling, Trust::Trusted).is_ok()
    };
    assert!(named("demo"));
    assert!(!named("Demo"));
    assert!(!named(""));
}

#[test]
fn pushes_that_have_to_be_signed_are_refused_because_nobody_checks() {
    let mut ceiling = Ceiling::default();
    let by = By::Line(4);
    ceiling.trusted.push_keys = Some(Ruled {
        value: Vec::new(),
        by,
    });
    let mut asked = Asked::nothing(ExecutorKind::Wasm);
    assert!(
        effective(&asked, &ceiling, Trust::Trusted).is_ok(),
        "by hand there is no push"
    );
    asked.repository = Some(Repository {
        address: "https://git.example/x".to_owned(),
        name: "demo".to_owned(),
    });
    let refused = effective(&asked, &ceiling, Trust::Trusted).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "push is refused: it has to be signed, and this version cannot check signatures (`push_keys`, runner.toml line 4)"
    );
}

#[test]
fn a_limit_is_lowered_and_a_default_is_bounded() {
    let mut ceiling = Ceiling::default();
    let key = (ExecutorKind::Wasm, LimitName::Memory);
    let value = Bound {
        default: 10,
        max: 100,
    };
    ceiling.trusted.limits.insert(key, Ruled::built_in(value));
    for (asked_for, given) in [
        (None, 10),
        (Some(50), 50),
        (Some(100), 100),
        (Some(u64::MAX), 100),
    ] {
        let mut asked = Asked::nothing(ExecutorKind::Wasm);
        asked
            .limits
            .extend(asked_for.map(|amount| (LimitName::Memory, amount)));
        let effective = effective(&asked, &ceiling, Trust::Trusted).unwrap();
        assert_eq!(effective.limits[&LimitName::Memory], given);
    }
}

#[test]
fn with_no_file_members_get_what_they_ask_of_the_public_internet_and_strangers_a_locked_module() {
    let ceiling = Ceiling::default();
    let mut module = Asked::nothing(ExecutorKind::Wasm);
    module.read = vec![wish(".", 1)];
    let is_ok = |asked: &Asked, trust| effective(asked, &ceiling, trust).is_ok();
    assert!(is_ok(&module, Trust::Trusted) && is_ok(&module, Trust::Untrusted));
    module.net = vec![wish("https://api.example.com", 2)];
    assert!(is_ok(&module, Trust::Trusted) && !is_ok(&module, Trust::Untrusted));
    module.net = vec![wish("tcp://192.168.0.1:22", 2)];
    assert!(!is_ok(&module, Trust::Trusted));
    let script = Asked::script(wish("rust:1.95", 1), 1);
    assert!(is_ok(&script, Trust::Trusted) && !is_ok(&script, Trust::Untrusted));
    module.net.clear();
    module.host_read = vec![wish("/etc", 3)];
    assert!(!is_ok(&module, Trust::Trusted));
}
