use cofferdam_git::Depth;
use cofferdam_protocol::job_spec::{DEPTH_UNSAID, Trust};
use cofferdam_protocol::{AttemptId, BuildId, Fence, StepIndex};

use std::collections::BTreeMap;

use cofferdam_protocol::limits::{ENV_VARS_MAX, NAME_BYTES_MAX, STEPS_MAX};

use super::*;

fn spec() -> JobSpec {
    JobSpec {
        attempt: AttemptId::from_bytes([1; 16]),
        fence: Fence(1),
        build: BuildRef {
            id: BuildId::from_bytes([2; 16]),
            number: 1,
            repository: "demo".to_owned(),
        },
        checkout: CheckoutSpec {
            url: "https://git.example/demo.git".to_owned(),
            reference: "refs/heads/main".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        },
        trust: Trust::Trusted,
        env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
        steps: vec![StepSpec {
            index: StepIndex(0),
            name: "Test".to_owned(),
            line: 3,
            max_time_secs: 60,
            depth: DEPTH_UNSAID,
            work: WorkSpec::Script {
                image: "localhost/image:1".to_owned(),
                script: vec!["true".to_owned()],
                after_script: Vec::new(),
            },
        }],
    }
}

fn wasm_spec() -> WasmSpec {
    WasmSpec {
        module: "ci/scan.wasm".to_owned(),
        module_from: ModuleFrom::Commit,
        module_line: 4,
        args: Vec::new(),
        env: BTreeMap::new(),
        read: vec![GrantSpec {
            what: "src".to_owned(),
            line: 6,
        }],
        write: Vec::new(),
        net: Vec::new(),
        clock: ClockSpec::Fixed,
        random: RandomSpec::Seeded,
        limits: LimitsSpec::default(),
    }
}

/// What a hub's offer, after `change`, is answered with: nothing, or why it is declined.
fn check(change: impl FnOnce(&mut JobSpec)) -> Option<String> {
    let mut spec = spec();
    change(&mut spec);
    plan(spec, &RemotePolicy::default(), &Ceiling::default())
        .err()
        .map(|error| error.to_string())
}

#[test]
fn a_good_offer_becomes_a_plan() {
    assert_eq!(check(|_| {}), None);
    assert_eq!(
        check(|spec| spec.steps[0].work = WorkSpec::Wasm(wasm_spec())),
        None
    );
}

#[test]
fn a_hub_cannot_send_the_runner_to_a_place_that_its_operator_did_not_name() {
    for url in [
        "file:///etc",
        "ext::sh -c id",
        "http://git.example/demo.git",
        "git://git.example/demo.git",
        "--upload-pack=id",
        "https://user:password@git.example/demo.git",
        "",
    ] {
        let why = check(|spec| spec.checkout.url = url.to_owned());
        let why = why.unwrap_or_else(|| panic!("{url} was taken"));
        assert!(
            why.starts_with("this runner does not fetch from there"),
            "{url}: {why}"
        );
    }
    for reference in [
        "--upload-pack=id",
        "main",
        "refs/heads/../x",
        "refs/heads/a\nb",
        "",
    ] {
        let why = check(|spec| spec.checkout.reference = reference.to_owned());
        assert!(why.is_some(), "{reference:?} was taken");
    }
}

#[test]
fn a_hub_cannot_make_the_runner_hold_more_than_its_bounds() {
    let step = spec().steps.remove(0);
    for (field, why) in [
        (
            "steps",
            check(|spec| spec.steps = vec![step.clone(); STEPS_MAX + 1]),
        ),
        ("no steps", check(|spec| spec.steps.clear())),
        ("time", check(|spec| spec.steps[0].max_time_secs = u64::MAX)),
        ("no time", check(|spec| spec.steps[0].max_time_secs = 0)),
        (
            "name",
            check(|spec| spec.steps[0].name = "n".repeat(NAME_BYTES_MAX + 1)),
        ),
        (
            "variables",
            check(|spec| {
                spec.env = (0..=ENV_VARS_MAX)
                    .map(|n| (format!("V{n}"), String::new()))
                    .collect();
            }),
        ),
    ] {
        let why = why.unwrap_or_else(|| panic!("too much of {field} was taken"));
        assert!(why.ends_with("is out of bounds"), "{field}: {why}");
    }
}

#[test]
fn a_hub_cannot_smuggle_characters_that_end_an_argument_or_a_variable() {
    for why in [
        check(|spec| drop(spec.env.insert("A=B".to_owned(), String::new()))),
        check(|spec| drop(spec.env.insert("A".to_owned(), "\0".to_owned()))),
        check(|spec| {
            let read = vec![GrantSpec {
                what: "a\nb".to_owned(),
                line: 1,
            }];
            spec.steps[0].work = WorkSpec::Wasm(WasmSpec {
                read,
                ..wasm_spec()
            });
        }),
        check(|spec| {
            let args = vec!["\0".to_owned()];
            spec.steps[0].work = WorkSpec::Wasm(WasmSpec {
                args,
                ..wasm_spec()
            });
        }),
    ] {
        assert!(
            why.unwrap().contains("characters that are not allowed"),
            "taken"
        );
    }
}

#[test]
fn a_job_fetches_the_most_history_that_one_of_its_steps_wants() {
    for (depths, fetched) in [
        (vec![Some(1), DEPTH_UNSAID], Depth::default()),
        (vec![Some(200), Some(7)], Depth::newest(200)),
        (vec![Some(200), None], Depth::FULL),
        (vec![Some(u32::MAX)], Depth::FULL),
    ] {
        let mut spec = spec();
        let one = spec.steps.pop().unwrap();
        spec.steps = (depths.iter().copied())
            .map(|depth| StepSpec {
                depth,
                ..one.clone()
            })
            .collect();
        let plan = plan(spec, &RemotePolicy::default(), &Ceiling::default()).unwrap();
        assert_eq!(plan.source.depth, fetched);
        let each: Vec<Depth> = plan.steps.iter().map(|step| step.depth).collect();
        let wanted: Vec<Depth> = depths.into_iter().map(Depth::from).collect();
        assert_eq!(each, wanted);
    }
}

/// What the first step of an offer becomes under a ceiling: nothing, or why it is refused.
fn refused(text: &str, change: impl FnOnce(&mut JobSpec)) -> Option<String> {
    let path = std::path::Path::new("runner.toml");
    let config = crate::config::Config::parse(text, path).unwrap();
    let mut spec = spec();
    change(&mut spec);
    let plan = plan(spec, &RemotePolicy::default(), &config.ceiling).unwrap();
    match &plan.steps[0].work {
        PlannedWork::Refused(refusals) => Some(refusals.to_string()),
        _ => None,
    }
}

#[test]
fn an_offer_is_held_to_the_ceiling_of_its_trust() {
    let stranger = |spec: &mut JobSpec| spec.trust = Trust::Untrusted;
    assert_eq!(refused("", |_| {}), None);
    let why = refused("", stranger).unwrap();
    assert!(
        why.starts_with("line 3: executor `script` is refused"),
        "{why}"
    );
    let module = |spec: &mut JobSpec| {
        spec.trust = Trust::Untrusted;
        spec.steps[0].work = WorkSpec::Wasm(wasm_spec());
    };
    assert_eq!(refused("", module), None);
    assert_eq!(
        refused("[untrusted]\nread = ['docs']\n", module).unwrap(),
        "line 6: read grant `src` is refused: it is not on this host's list for untrusted builds (`read`, runner.toml line 2)"
    );
}

#[test]
fn a_repository_that_the_ceiling_does_not_name_has_no_step_that_may_run() {
    let ceiling = "[trusted]\nrepositories = ['https://git.example/team/*']\n";
    assert_eq!(
        refused(ceiling, |_| {}).unwrap(),
        "repository `https://git.example/demo.git` is refused: it is not on this host's list for trusted builds (`repositories`, runner.toml line 2)"
    );
    let url =
        |spec: &mut JobSpec| spec.checkout.url = "https://git.example/team/demo.git".to_owned();
    assert_eq!(refused(ceiling, url), None);
    let escaped = |spec: &mut JobSpec| {
        spec.checkout.url = "https://git.example/team/%2e%2e/demo.git".to_owned();
    };
    assert!(refused(ceiling, escaped).is_some());
}

#[test]
fn pushes_that_have_to_be_signed_are_not_run_unchecked() {
    let why = refused("[trusted]\npush_keys = []\n", |_| {}).unwrap();
    assert!(
        why.starts_with("push is refused: it has to be signed"),
        "{why}"
    );
}
