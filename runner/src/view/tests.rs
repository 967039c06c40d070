mod amounts;
mod lines;
mod machine;
mod properties;
mod screen;
mod showing;
mod summary;
mod windows;

use std::time::Duration;

use cofferdam_protocol::Origin;

use self::screen::Screen;
use super::{Commands, Event, Model, Outcome, Row, RunState, Size, View, frame};

const WIDE: Size = Size {
    columns: 80,
    rows: 24,
};
const NARROW: Size = Size {
    columns: 24,
    rows: 24,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn row(index: u16, name: &str, group: Option<u16>) -> Row {
    Row {
        index,
        name: name.to_owned(),
        stage: None,
        group,
        what: "container image".to_owned(),
    }
}

fn began(steps: Vec<Row>) -> Event {
    Event::Began {
        pipeline: "branches › main".to_owned(),
        commit: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned(),
        commands: Commands::of_run(&[], None),
        steps,
    }
}

fn started(index: u16) -> Event {
    Event::StepStarted { index }
}

fn log(index: u16, bytes: impl AsRef<[u8]>) -> Event {
    logged_by(Origin::Stdout, index, bytes)
}

fn logged_by(origin: Origin, index: u16, bytes: impl AsRef<[u8]>) -> Event {
    Event::Log {
        index,
        origin,
        bytes: bytes.as_ref().to_vec(),
    }
}

fn ended(index: u16, outcome: Outcome) -> Event {
    let log = outcome
        .is_bad()
        .then(|| format!(".cofferdam/logs/{}.log", index + 1));
    Event::StepEnded {
        index,
        outcome,
        log,
    }
}

fn cancelled(why: &str) -> Outcome {
    Outcome::Cancelled {
        why: why.to_owned(),
    }
}

fn exit(exit: i32) -> Outcome {
    Outcome::Failed {
        exit: Some(exit),
        why: String::new(),
    }
}

/// Build, then Test and Lint in parallel, then Deploy.
fn four_steps() -> Event {
    began(vec![
        row(0, "Build", None),
        row(1, "Test", Some(1)),
        row(2, "Lint", Some(1)),
        row(3, "Deploy to production", None),
    ])
}

/// Build has passed, Test and Lint run.
fn two_in_parallel() -> Vec<(u64, Event)> {
    vec![
        (0, four_steps()),
        (10, started(0)),
        (20, logged_by(Origin::System, 0, "pulled rust:1.95\n")),
        (3_210, ended(0, Outcome::Passed)),
        (3_220, started(1)),
        (3_230, started(2)),
        (
            3_500,
            log(1, "running 12 tests\ntest walk::one_push ... ok\n"),
        ),
        (
            3_600,
            logged_by(
                Origin::Stderr,
                2,
                "  Checking cofferdam v0.1.0 (/workspace/a/very/long/path/to/it)\n",
            ),
        ),
    ]
}

/// As above; Lint fails, Test is stopped, Deploy never starts.
fn failed() -> Vec<(u64, Event)> {
    let mut events = two_in_parallel();
    events.extend([
        (
            3_900,
            log(2, "warning: unused variable: `x`\n --> src/lib.rs:3:5\n"),
        ),
        (4_030, ended(2, exit(1))),
        (4_100, ended(1, cancelled("Lint failed"))),
        (
            4_100,
            ended(
                3,
                Outcome::NotRun {
                    why: "Lint failed".to_owned(),
                },
            ),
        ),
        (
            4_110,
            Event::Ended {
                state: RunState::Failed,
            },
        ),
    ]);
    events
}

/// What a window shows at a moment below what is over.
fn frame_of(events: &[(u64, Event)], now: u64, size: Size) -> String {
    let mut model = Model::default();
    for (at, event) in events {
        model.apply(ms(*at), event);
    }
    frame(&model, ms(now), size, false)
}

/// All that a terminal shows in the end.
fn screen_of(events: &[(u64, Event)], size: Size) -> String {
    let mut view = View::terminal(true);
    let mut screen = Screen::new(size);
    for (at, event) in events {
        screen.write(&view.apply(ms(*at), event, size));
        screen.write(&view.tick(ms(*at + 1), size));
    }
    screen.text()
}

/// All that a file holds in the end.
fn plain_of(events: &[(u64, Event)]) -> String {
    let mut view = View::plain(false);
    let mut text: String = events
        .iter()
        .map(|(at, event)| view.apply(ms(*at), event, WIDE))
        .collect();
    text.push_str(&view.close(WIDE));
    text
}
