//! Artifacts of a finished local run, in the user's own tree.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::KeepError;
use super::super::artifact::{self, ArtifactId, Collected};
use super::{Bench, leaves, select, tree};

/// Captures `pattern` of the bench's workspace for a step.
fn keep(bench: &Bench, ordinal: u32, step: &str, name: &str, pattern: &str) {
    let id = ArtifactId {
        ordinal,
        step: step.to_owned(),
        name: name.to_owned(),
    };
    let (from, store) = (bench.dir("from"), bench.dir("store"));
    artifact::capture(
        &from,
        &select(&[pattern], &[], None),
        &store,
        &id,
        &bench.bounds,
    )
    .unwrap();
}

fn collect(bench: &Bench) -> Result<Vec<Collected>, KeepError> {
    artifact::collect(&bench.dir("store"), &bench.dir("to"), &bench.bounds)
}

#[test]
fn each_step_has_a_folder_of_its_own() {
    let bench = Bench::new().with(&["a", "b", "c", "d"]);
    keep(&bench, 0, "Build & Test", "", "a");
    keep(&bench, 1, "Build, test!", "", "b");
    keep(&bench, 0, "Build & Test", "reports", "c");
    keep(&bench, 2, "../../..", "", "d");
    let folders = collect(&bench)
        .unwrap()
        .into_iter()
        .map(|collected| (collected.folder, collected.laid.files))
        .collect::<Vec<_>>();
    assert_eq!(
        folders,
        [
            ("build-test".to_owned(), 2),
            ("build-test-2".to_owned(), 1),
            ("step".to_owned(), 1)
        ]
    );
    assert_eq!(
        leaves(&tree(&bench.path("to"))),
        [
            ".cofferdam/artifacts/build-test-2/b",
            ".cofferdam/artifacts/build-test/a",
            ".cofferdam/artifacts/build-test/c",
            ".cofferdam/artifacts/step/d",
        ]
    );
}

#[test]
fn what_an_earlier_run_left_in_a_folder_is_gone_and_the_rest_stays() {
    let bench = Bench::new().with(&["a"]);
    keep(&bench, 0, "Build", "", "a");
    let out = bench.path("to/.cofferdam/artifacts");
    fs::create_dir_all(out.join("build/old")).unwrap();
    fs::create_dir_all(out.join("other")).unwrap();
    symlink(bench.path("outside"), out.join("build/old/link")).unwrap();
    fs::write(bench.path("to/tracked"), "tracked").unwrap();
    collect(&bench).unwrap();
    assert_eq!(
        leaves(&tree(&bench.path("to"))),
        [".cofferdam/artifacts/build/a", "tracked"]
    );
    assert!(out.join("other").is_dir());
    bench.assert_outside_is_untouched();
}

/// The repository decides what stands in the project's tree.
#[test]
fn a_link_on_the_way_is_an_error_and_a_link_for_a_folder_is_replaced() {
    for (way, link) in [("", ".cofferdam"), (".cofferdam", ".cofferdam/artifacts")] {
        let bench = Bench::new().with(&["secret"]);
        keep(&bench, 0, "Build", "", "secret");
        fs::create_dir_all(bench.path("to").join(way)).unwrap();
        symlink(bench.path("outside"), bench.path("to").join(link)).unwrap();
        let error = collect(&bench).unwrap_err();
        assert!(matches!(error, KeepError::NotADirectory { .. }), "{error}");
        bench.assert_outside_is_untouched();
    }
    let bench = Bench::new().with(&["secret"]);
    keep(&bench, 0, "Build", "", "secret");
    fs::create_dir_all(bench.path("to/.cofferdam/artifacts")).unwrap();
    symlink(
        bench.path("outside"),
        bench.path("to/.cofferdam/artifacts/build"),
    )
    .unwrap();
    collect(&bench).unwrap();
    assert_eq!(
        leaves(&tree(&bench.path("to"))),
        [".cofferdam/artifacts/build/secret"]
    );
    bench.assert_outside_is_untouched();
}

#[test]
fn a_run_without_artifacts_makes_no_folder() {
    let bench = Bench::new();
    assert_eq!(collect(&bench).unwrap(), []);
    assert!(tree(&bench.path("to")).is_empty());
}
