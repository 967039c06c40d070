//! The end of a run.

use super::*;

#[test]
fn stages_groups_artifacts_and_reasons_stand_in_the_summary() {
    let staged = |index, name: &str, stage: &str, group| Row {
        stage: Some(stage.to_owned()),
        ..row(index, name, group)
    };
    let path = ".cofferdam/artifacts/1/report.html".to_owned();
    let events = [
        (
            0,
            began(vec![
                staged(0, "Test", "Check", Some(1)),
                staged(1, "Test", "Check", Some(1)),
                staged(2, "Scan", "Check", Some(1)),
                staged(3, "Deploy", "Release", None),
                staged(4, "Tell", "Release", None),
            ]),
        ),
        (0, started(0)),
        (0, started(1)),
        (
            50,
            Event::Artifact {
                index: 0,
                path,
                bytes: 1_536,
            },
        ),
        (61_000, ended(0, Outcome::Passed)),
        (
            61_000,
            ended(
                1,
                Outcome::Failed {
                    exit: None,
                    why: "a limit ended it: memory, 256 MiB".to_owned(),
                },
            ),
        ),
        (
            61_000,
            ended(
                2,
                Outcome::Error {
                    why: "no container engine answers at unix:///var/run/docker.sock".to_owned(),
                },
            ),
        ),
        (
            61_000,
            ended(
                3,
                Outcome::Unsupported {
                    what: "oidc: true".to_owned(),
                    line: 12,
                },
            ),
        ),
        (
            61_000,
            ended(
                4,
                Outcome::Skipped {
                    why: "no changed file matches docs/**, and none of the others does either"
                        .to_owned(),
                },
            ),
        ),
        (
            61_000,
            Event::Ended {
                state: RunState::Failed,
            },
        ),
    ];
    let screen = screen_of(&events, WIDE);
    insta::assert_snapshot!(screen[screen.find("▌\n").unwrap()..], @"
    ▌
    ▌ Check
    ▌ ┌ ✓ Test #1  1 min 01 s
    ▌ ├ ✗ Test #2  1 min 01 s  failed: a limit ended it: memory, 256 MiB
    ▌ └ ! Scan                 could not be run: no container engine answers at
    ▌                          unix:///var/run/docker.sock
    ▌ Release
    ▌   ✗ Deploy               unsupported: oidc: true (line 12)
    ▌   – Tell                 skipped: no changed file matches docs/**, and none of
    ▌                          the others does either
    ▌
    ▌ artifacts
    ▌   .cofferdam/artifacts/1/report.html (1.5 KiB, Test #1)
    ▌
    ▌ ✗ branches › main failed after 1 min 01 s
    ▌   1 unsupported, 1 failed, 1 not runnable, 1 passed, 1 skipped
    ▌   log of Test #2: .cofferdam/logs/2.log
    ▌   log of Scan: .cofferdam/logs/3.log
    ▌   log of Deploy: .cofferdam/logs/4.log
    ▌   Deploy uses, in line 12, what this version cannot run yet
    ");
}

#[test]
fn a_run_that_passed_says_so_in_one_line_with_its_time() {
    let events = [
        (0, began(vec![row(0, "Test", None)])),
        (0, started(0)),
        (1_000, ended(0, Outcome::Passed)),
        (
            1_001,
            Event::Ended {
                state: RunState::Passed,
            },
        ),
    ];
    insta::assert_snapshot!(screen_of(&events, WIDE), @"
    ▌ branches › main · 1a2b3c4d5e6f · 1 step
    ▌ ✓ Test  1.0 s
    ▌
    ▌ ✓ Test  1.0 s
    ▌
    ▌ ✓ branches › main passed in 1.0 s: 1 passed
    ");
}

#[test]
fn a_run_that_could_not_be_run_to_its_end_does_not_say_that_it_failed() {
    let why = "no disk is left".to_owned();
    let events = [
        (0, began(vec![row(0, "it's --odd", None)])),
        (0, started(0)),
        (1_000, ended(0, Outcome::Error { why })),
        (
            1_001,
            Event::Ended {
                state: RunState::Error,
            },
        ),
    ];
    insta::assert_snapshot!(screen_of(&events, NARROW), @r"
    ▌ branches › main
    ▌   1a2b3c4d5e6f · 1
    ▌   step
    ▌ ! it's --odd  could n…
    ▌   could not be run: no
    ▌   disk is left
    ▌   whole log:
    ▌   .cofferdam/logs/
    ▌   1.log
    ▌
    ▌ ! it's --odd  1.0 s
    ▌   could not be run: no
    ▌   disk is left
    ▌
    ▌ ! branches › main
    ▌   could not be run to
    ▌   its end, after 1.0 s
    ▌   1 not runnable
    ▌   log of it's --odd:
    ▌   .cofferdam/logs/
    ▌   1.log
    ▌   this step alone:
    ▌   cofferdam run --step
    ▌   'it'\''s --odd'
    ");
}

#[test]
fn a_thousand_artifacts_are_counted() {
    let mut events = vec![(0, began(vec![row(0, "Test", None)]))];
    events.extend((0..1_000).map(|number| {
        let path = format!("file-{number}");
        (
            1,
            Event::Artifact {
                index: 0,
                path,
                bytes: number,
            },
        )
    }));
    events.push((
        2,
        Event::Ended {
            state: RunState::Passed,
        },
    ));
    let screen = screen_of(&events, WIDE);
    assert_eq!(screen.matches("file-").count(), 20);
    assert!(screen.contains("▌   and 980 more"), "{screen}");
}
