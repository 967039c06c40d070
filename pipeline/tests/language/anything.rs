//! Whatever the bytes: no panic, and an outcome that agrees with the remarks.

use cofferdam_pipeline::{ChangedFiles, Outcome, Resolution, Severity, resolve};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::{branch, tag};

const VALID: &[&str] = &[
    include_str!("../files/everything.yml"),
    include_str!("../files/anchors.yml"),
];

/// Pieces that mean something to YAML or to the language.
const PIECES: &[&str] = &[
    "\n",
    "  ",
    "    ",
    "- ",
    ": ",
    "step:",
    "- step:\n",
    "script:",
    "wasm:",
    "*a",
    "&a ",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "|",
    ">",
    "#",
    "!",
    "%",
    "---",
    "...",
    "?",
    ",",
    "\t",
    "\0",
    "\u{1b}",
    "\u{202e}",
    "é",
    "🙂",
    "null",
    "~",
    "true",
    "1e9",
    "99999999999999999999",
    "pipelines:",
    "default:",
    "branches:",
    "parallel:",
    "import:",
    "variables:",
    "final:",
    "steps:",
    "stage:",
    "grants:",
    "read:",
    "..",
    "/",
];

/// What holds for every resolution.
fn check(source: &[u8]) {
    for push in [branch("main"), branch("feature/a-b"), tag("v1.0")] {
        let Resolution {
            outcome,
            diagnostics,
        } = resolve(source, &push, ChangedFiles::Unknown);
        let has_errors = diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error);
        assert_eq!(has_errors, outcome == Outcome::Invalid);
        assert!(diagnostics.len() <= 102);
        for diagnostic in &diagnostics {
            let rendered = diagnostic.render(source, "p.yml");
            assert!(
                !rendered.contains(|c: char| c.is_control() && c != '\n'),
                "{rendered:?}"
            );
            assert!(rendered.chars().count() < 2_000, "{rendered:?}");
        }
        if let Outcome::Planned(plan) = outcome {
            let mut index = 0;
            assert!(!plan.jobs.is_empty());
            for (number, job) in plan.jobs.iter().enumerate() {
                assert!(job.needs.iter().all(|&need| need < number));
                assert!(!job.steps.is_empty());
                for step in &job.steps {
                    assert_eq!(step.index, index);
                    assert!(step.line > 0 && step.max_time_secs > 0 && !step.name.is_empty());
                    index += 1;
                }
            }
        }
    }
}

#[test]
fn the_valid_files_are_valid() {
    for source in VALID {
        let resolution = resolve(source.as_bytes(), &branch("main"), ChangedFiles::Unknown);
        assert!(
            matches!(resolution.outcome, Outcome::Planned(_)),
            "{:#?}",
            resolution.diagnostics
        );
        check(source.as_bytes());
    }
}

#[test]
fn a_file_that_is_cut_at_many_places_is_read_or_refused() {
    for source in VALID {
        // Three does not divide the indentation, so every kind of place comes up.
        for end in (0..source.len()).step_by(3) {
            check(&source.as_bytes()[..end]);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(source in vec(any::<u8>(), 0..400)) {
        check(&source);
    }

    #[test]
    fn any_pieces_of_the_language_are_read_or_refused(pieces in vec(select(PIECES), 0..80)) {
        check(pieces.concat().as_bytes());
    }

    #[test]
    fn a_valid_file_with_any_changes_is_read_or_refused(
        file in select(VALID),
        changes in vec((any::<Index>(), 0_usize..12, select(PIECES)), 1..6),
    ) {
        let mut characters: Vec<char> = file.chars().collect();
        for (place, length, piece) in changes {
            let start = place.index(characters.len() + 1);
            let end = characters.len().min(start + length);
            characters.splice(start..end, piece.chars());
        }
        check(characters.into_iter().collect::<String>().as_bytes());
    }

    #[test]
    fn a_valid_file_with_its_lines_shuffled_is_read_or_refused(
        (file, order) in select(VALID).prop_flat_map(|file| {
            let lines: Vec<usize> = (0..file.lines().count()).collect();
            (Just(file), Just(lines).prop_shuffle())
        }),
    ) {
        let lines: Vec<&str> = file.lines().collect();
        let shuffled: Vec<&str> = order.into_iter().map(|line| lines[line]).collect();
        check(shuffled.join("\n").as_bytes());
    }
}
