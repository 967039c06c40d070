//! The isolation level: what a receipt says of it, and what happens when more is demanded than there is.

use super::guests;
use super::stand::Stand;

#[test]
fn a_receipt_names_each_wall_that_stood() {
    for stand in Stand::everybody("walls in a receipt") {
        let did = stand.run(&guests::nothing(), &[], &[]);
        let walls = &did.receipt["walls"];
        let namespaces: Vec<&str> = walls["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        for expected in ["mount", "ipc", "net", "uts", "pid"] {
            assert!(namespaces.contains(&expected), "{walls}");
        }
        assert_eq!(walls["tree"], true, "{walls}");
        assert_eq!(walls["call_filter"], true, "{walls}");
        assert_ne!(walls["uid"], 0, "{walls}");
    }
}

#[test]
fn a_step_that_demands_every_wall_runs_where_there_is_every_wall() {
    for stand in Stand::everybody("a strict step") {
        let did = stand.run(&guests::exit(3), &["--isolation", "strict"], &[]);
        let missing = &did.receipt["walls"]["missing"];
        assert_eq!(did.end(), "3 exit", "{missing} {}", did.stderr);
        assert!(missing.is_null(), "{missing}");
    }
}

#[test]
fn a_step_that_demands_every_wall_does_not_run_where_one_is_missing() {
    let Some(stand) = Stand::hardened("a strict step without namespaces") else {
        return;
    };
    let did = stand.run(&guests::exit(3), &["--isolation", "strict"], &[]);
    assert_eq!(did.end(), "125 error", "{}", did.stderr);
    let expected = "cofferdam: the isolation level `strict` was demanded, and this host gives a step no own \
                    file tree (making namespaces: ";
    assert!(did.stderr.starts_with(expected), "{}", did.stderr);
    let best = stand.run(&guests::exit(3), &["--isolation", "best"], &[]);
    assert_eq!(best.end(), "3 exit", "{}", best.stderr);
    let missing = best.receipt["walls"]["missing"].as_str().unwrap();
    assert!(missing.contains("no mount namespace"), "{missing}");
}

#[test]
fn a_level_that_does_not_exist_is_a_bad_argument() {
    let stand = Stand::new();
    let did = stand.run(&guests::nothing(), &["--isolation", "most"], &[]);
    assert_eq!(did.status, 125);
    let expected = "an isolation level is `best` or `strict`";
    assert!(did.stderr.contains(expected), "{}", did.stderr);
}
