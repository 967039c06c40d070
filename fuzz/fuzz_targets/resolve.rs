//! Whatever the bytes of a pipeline file: no panic, no long wait, and an outcome that agrees with what is said of it.

#![no_main]

use std::time::{Duration, Instant};

use cofferdam_pipeline::{
    ChangedFiles, CustomStart, Migration, Outcome, Push, Reference, Severity, explain, migrate,
    resolve,
};
use libfuzzer_sys::fuzz_target;

/// Ten times what a file of this size should ever take, so that a sanitizer and a busy machine are no finding.
const TIME_MAX: Duration = Duration::from_secs(1);

fuzz_target!(|source: &[u8]| {
    let branch = Reference::Branch("main".to_owned());
    let custom = CustomStart {
        name: "nightly".to_owned(),
        variables: [("WHERE".to_owned(), "here".to_owned())].into(),
    };
    let request = Reference::PullRequest {
        source: "feature/a-b".to_owned(),
        destination: "main".to_owned(),
    };
    let changed = ["src/lib.rs".to_owned(), "README.md".to_owned()];
    for (reference, custom) in [
        (branch.clone(), None),
        (Reference::Tag("v1.0".to_owned()), None),
        (request, None),
        (branch, Some(custom)),
    ] {
        let push = Push {
            reference,
            commit_message: String::new(),
            custom,
        };
        check(source, &push, ChangedFiles::Known(&changed));
    }
    check_migration(source);
});

fn check(source: &[u8], push: &Push, changed: ChangedFiles<'_>) {
    let begin = Instant::now();
    let resolution = resolve(source, push, changed);
    assert!(begin.elapsed() < TIME_MAX, "{:?}", begin.elapsed());
    let is_error = |severity| severity == Severity::Error;
    let has_errors = resolution
        .diagnostics
        .iter()
        .any(|diagnostic| is_error(diagnostic.severity));
    assert_eq!(has_errors, resolution.outcome == Outcome::Invalid);
    for diagnostic in &resolution.diagnostics {
        let rendered = diagnostic.render(source, "p.yml");
        assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'));
    }
    let explained = explain(source, push, changed);
    let selected: Vec<&str> = explained
        .iter()
        .filter(|pipeline| pipeline.selected)
        .map(|pipeline| pipeline.pipeline.as_str())
        .collect();
    match &resolution.outcome {
        Outcome::Planned(plan) => assert_eq!(selected, [plan.selected.as_str()]),
        Outcome::NothingSelected(_) => assert!(selected.is_empty(), "{selected:?}"),
        Outcome::Invalid => assert!(explained.is_empty()),
    }
}

/// A file is refused here exactly if it is refused everywhere, and then nothing else is said of it.
fn check_migration(source: &[u8]) {
    let push = Push {
        reference: Reference::Branch("main".to_owned()),
        commit_message: String::new(),
        custom: None,
    };
    let begin = Instant::now();
    let migration = migrate(source);
    assert!(begin.elapsed() < TIME_MAX, "{:?}", begin.elapsed());
    let is_refused = resolve(source, &push, ChangedFiles::Unknown).outcome == Outcome::Invalid;
    let severities = migration.diagnostics.iter().map(|found| found.severity);
    assert_eq!(severities.min() == Some(Severity::Error), is_refused);
    if is_refused {
        let said = Migration {
            diagnostics: migration.diagnostics.clone(),
            ..Migration::default()
        };
        assert_eq!(migration, said);
    }
    let lines = source
        .iter()
        .filter(|&&byte| matches!(byte, b'\n' | b'\r'))
        .count()
        + 1;
    for found in &migration.variables {
        assert!(!found.lines.is_empty(), "{found:?}");
        let last = found.lines.iter().max().copied().unwrap_or_default();
        assert!(last as usize <= lines, "{found:?}");
    }
}
