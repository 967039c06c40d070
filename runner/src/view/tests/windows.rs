//! What a terminal shows while a run goes on, and what is left in the end.

use super::*;

#[test]
fn each_running_step_has_a_line_with_its_time_and_its_latest_words() {
    insta::assert_snapshot!(frame_of(&two_in_parallel(), 3_900, WIDE), @"
    ▌ ⠏ Test 0.6 s │ test walk::one_push ... ok
    ▌ ⠏ Lint 0.6 s │ Checking cofferdam v0.1.0 (/workspace/a/very/long/path/to/it)
    ▌ 1 of 4 done · 3.9 s · Ctrl-C cancels
    ");
}

#[test]
fn a_narrow_window_keeps_the_names_and_the_times() {
    insta::assert_snapshot!(frame_of(&two_in_parallel(), 93_900, NARROW), @"
    ▌ ⠏ Test 1 min 30 s
    ▌ ⠏ Lint 1 min 30 s
    ▌ 1/4 · 1 min 33 s
    ");
}

#[test]
fn what_is_over_scrolls_away_above_what_runs() {
    insta::assert_snapshot!(screen_of(&two_in_parallel(), WIDE), @"
    ▌ branches › main · 1a2b3c4d5e6f · 4 steps
    ▌ ✓ Build  3.2 s
    ▌ ⠦ Test 0.3 s │ test walk::one_push ... ok
    ▌ ⠦ Lint 0.3 s │ Checking cofferdam v0.1.0 (/workspace/a/very/long/path/to/it)
    ▌ 1 of 4 done · 3.6 s · Ctrl-C cancels
    ");
}

#[test]
fn a_failed_step_shows_its_log_and_the_end_says_what_to_do() {
    insta::assert_snapshot!(screen_of(&failed(), WIDE), @"
    ▌ branches › main · 1a2b3c4d5e6f · 4 steps
    ▌ ✓ Build  3.2 s
    ▌ ✗ Lint  exit 1  0.8 s
    │   Checking cofferdam v0.1.0 (/workspace/a/very/long/path/to/it)
    │ warning: unused variable: `x`
    │  --> src/lib.rs:3:5
    ▌   whole log: .cofferdam/logs/3.log
    ▌ ■ Test  cancelled: Lint failed  0.8 s
    ▌ – Deploy to production  not run: Lint failed
    ▌
    ▌   ✓ Build                 3.2 s
    ▌ ┌ ■ Test                  0.8 s  cancelled: Lint failed
    ▌ └ ✗ Lint                  0.8 s  exit 1
    ▌   – Deploy to production         not run: Lint failed
    ▌
    ▌ ✗ branches › main failed after 4.1 s
    ▌   1 failed, 1 cancelled, 1 passed, 1 not run
    ▌   log of Lint: .cofferdam/logs/3.log
    ▌   this step alone: cofferdam run --step Lint
    ");
}

#[test]
fn a_failure_is_legible_in_24_columns() {
    insta::assert_snapshot!(screen_of(&failed(), NARROW), @"
    ▌ branches › main
    ▌   1a2b3c4d5e6f · 4
    ▌   steps
    ▌ ✓ Build  3.2 s
    ▌ ✗ Lint  exit 1  0.8 s
    │   Checking cofferdam v
    │ 0.1.0 (/workspace/a/ve
    │ ry/long/path/to/it)
    │ warning: unused variab
    │ le: `x`
    │  --> src/lib.rs:3:5
    ▌   whole log:
    ▌   .cofferdam/logs/
    ▌   3.log
    ▌ ■ Test  cancelled: Li…
    ▌ – Deploy to…  not run…
    ▌
    ▌   ✓ Build        3.2 s
    ▌ ┌ ■ Test         0.8 s
    ▌     cancelled: Lint
    ▌     failed
    ▌ └ ✗ Lint         0.8 s
    ▌     exit 1
    ▌   – Deploy to …
    ▌     not run: Lint
    ▌     failed
    ▌
    ▌ ✗ branches › main
    ▌   failed after 4.1 s
    ▌   1 failed, 1
    ▌   cancelled, 1 passed,
    ▌   1 not run
    ▌   log of Lint:
    ▌   .cofferdam/logs/
    ▌   3.log
    ▌   this step alone:
    ▌   cofferdam run --step
    ▌   Lint
    ");
}

#[test]
fn a_failure_is_legible_in_a_file() {
    insta::assert_snapshot!(plain_of(&failed()), @"
    ▌ branches › main · 1a2b3c4d5e6f · 4 steps
    ▌ Build                ▌ starts (container image)
    ▌ Build                ▌ pulled rust:1.95
    ▌ ✓ Build  3.2 s
    ▌ Test                 ▌ starts (container image)
    ▌ Lint                 ▌ starts (container image)
    │ Test                 │ running 12 tests
    │ Test                 │ test walk::one_push ... ok
    │ Lint                 │   Checking cofferdam v0.1.0 (/workspace/a/very/long/path/to/it)
    │ Lint                 │ warning: unused variable: `x`
    │ Lint                 │  --> src/lib.rs:3:5
    ▌ ✗ Lint  exit 1  0.8 s
    ▌   whole log: .cofferdam/logs/3.log
    ▌ ■ Test  cancelled: Lint failed  0.8 s
    ▌ – Deploy to production  not run: Lint failed
    ▌
    ▌   ✓ Build                 3.2 s
    ▌ ┌ ■ Test                  0.8 s  cancelled: Lint failed
    ▌ └ ✗ Lint                  0.8 s  exit 1
    ▌   – Deploy to production         not run: Lint failed
    ▌
    ▌ ✗ branches › main failed after 4.1 s: 1 failed, 1 cancelled, 1 passed, 1 not run
    ▌   log of Lint: .cofferdam/logs/3.log
    ▌   this step alone: cofferdam run --step Lint
    ");
}

#[test]
fn a_cancelled_run_says_so_at_once_and_how_to_begin_again() {
    let mut events = two_in_parallel();
    events.push((4_000, Event::Cancelling));
    insta::assert_snapshot!(frame_of(&events, 4_500, WIDE), @"
    ▌ ⠴ Test 1.2 s │ test walk::one_push ... ok
    ▌ ⠴ Lint 1.2 s │ Checking cofferdam v0.1.0 (/workspace/a/very/long/path/to/it)
    ▌ cancelling · 2 still stopping · 4.5 s
    ");
    let state = RunState::Cancelled;
    let not_run = Outcome::NotRun {
        why: "cancelled".to_owned(),
    };
    events.extend([
        (5_000, ended(1, cancelled(""))),
        (5_100, ended(2, cancelled(""))),
        (5_100, ended(3, not_run)),
        (5_110, Event::Ended { state }),
    ]);
    insta::assert_snapshot!(screen_of(&events, WIDE), @"
    ▌ branches › main · 1a2b3c4d5e6f · 4 steps
    ▌ ✓ Build  3.2 s
    ▌ ■ Test  cancelled  1.7 s
    ▌ ■ Lint  cancelled  1.8 s
    ▌ – Deploy to production  not run: cancelled
    ▌
    ▌   ✓ Build                 3.2 s
    ▌ ┌ ■ Test                  1.7 s  cancelled
    ▌ └ ■ Lint                  1.8 s  cancelled
    ▌   – Deploy to production         not run: cancelled
    ▌
    ▌ ■ branches › main cancelled after 5.1 s: 2 cancelled, 1 passed, 1 not run
    ▌   again: cofferdam run
    ");
}

#[test]
fn more_steps_than_rows_are_counted() {
    let steps = (0..40)
        .map(|index| row(index, &format!("Shard {index}"), Some(1)))
        .collect();
    let mut events = vec![(0, began(steps))];
    events.extend((0..40).map(|index| (0, started(index))));
    let size = |rows| Size { columns: 40, rows };
    insta::assert_snapshot!(frame_of(&events, 100, size(6)), @"
    ▌ ⠙ Shard 0 0.1 s
    ▌ ⠙ Shard 1 0.1 s
    ▌ ⠙ Shard 2 0.1 s
    ▌ … and 37 more
    ▌ 0 of 40 done · 0.1 s · Ctrl-C cancels
    ");
    insta::assert_snapshot!(frame_of(&events, 100, size(3)), @"
    ▌ … and 40 more
    ▌ 0 of 40 done · 0.1 s · Ctrl-C cancels
    ");
    insta::assert_snapshot!(frame_of(&events, 100, size(2)), @"▌ 0 of 40 done · 0.1 s · Ctrl-C cancels");
    assert_eq!(frame_of(&events, 100, size(1)), "");
}

#[test]
fn wide_characters_keep_the_columns_straight() {
    let steps = vec![
        row(0, "構文チェック", Some(1)),
        row(1, "Ünït 👩‍💻 tests", Some(1)),
        row(2, "ok", Some(1)),
    ];
    let mut events = vec![(0, began(steps))];
    events.extend((0..3).map(|index| (0, started(index))));
    events.extend((0..3).map(|index| {
        (
            1,
            log(
                index,
                "全ての試験に合格しました。全ての試験に合格しました。全ての試験に合格しました。",
            ),
        )
    }));
    insta::assert_snapshot!(frame_of(&events, 100, Size { columns: 60, rows: 24 }), @"
    ▌ ⠙ 構文チェック  0.1 s │ 全ての試験に合格しました。全ての…
    ▌ ⠙ Ünït 👩‍💻 tests 0.1 s │ 全ての試験に合格しました。全ての…
    ▌ ⠙ ok            0.1 s │ 全ての試験に合格しました。全ての…
    ▌ 0 of 3 done · 0.1 s · Ctrl-C cancels
    ");
    insta::assert_snapshot!(frame_of(&events, 100, NARROW), @"
    ▌ ⠙ 構文チェック  0.1 s
    ▌ ⠙ Ünït 👩‍💻 tests 0.1 s
    ▌ ⠙ ok            0.1 s
    ▌ 0 of 3 done · 0.1 s
    ");
}

#[test]
fn colour_is_there_and_can_be_left_out() {
    let shown = |is_coloured| {
        let mut view = View::terminal(is_coloured);
        let mut text = String::new();
        for (at, event) in [(0, four_steps()), (0, started(0)), (800, ended(0, exit(3)))] {
            text = view.apply(ms(at), &event, WIDE);
        }
        text.replace('\u{1b}', "␛").replace('\r', "")
    };
    insta::assert_snapshot!(shown(true), @"
    ␛[?25l␛[?7l␛[2A␛[2K␛[36m▌␛[0m ␛[1;31m✗␛[0m ␛[1mBuild␛[0m  ␛[1;31mexit 3␛[0m  ␛[2m0.8 s␛[0m
    ␛[2K␛[36m▌␛[0m   ␛[2mit printed nothing␛[0m
    ␛[2K␛[36m▌␛[0m   ␛[2mwhole log: .cofferdam/logs/1.log␛[0m
    ␛[2K␛[36m▌␛[0m ␛[2m1 of 4 done · 0.8 s␛[0m␛[1;31m · 1 failed␛[0m␛[2m · Ctrl-C cancels␛[0m
    ␛[J␛[?7h␛[?25h
    ");
    insta::assert_snapshot!(shown(false), @"
    ␛[?25l␛[?7l␛[2A␛[2K▌ ✗ Build  exit 3  0.8 s
    ␛[2K▌   it printed nothing
    ␛[2K▌   whole log: .cofferdam/logs/1.log
    ␛[2K▌ 1 of 4 done · 0.8 s · 1 failed · Ctrl-C cancels
    ␛[J␛[?7h␛[?25h
    ");
}

#[test]
fn a_question_stays_still_until_it_is_answered() {
    let mut view = View::terminal(false);
    let mut screen = Screen::new(WIDE);
    let mut tell = |at, event, typed: &str| {
        screen.write(&view.apply(ms(at), &event, WIDE));
        screen.write(&view.tick(ms(at + 100), WIDE));
        screen.write(typed);
    };
    tell(0, four_steps(), "");
    tell(0, started(1), "");
    tell(100, Event::Asked { index: 3 }, "");
    tell(200, log(1, "meanwhile\n"), "");
    tell(300, ended(1, Outcome::Passed), "y\r\n");
    tell(400, started(3), "");
    insta::assert_snapshot!(screen.text(), @"
    ▌ branches › main · 1a2b3c4d5e6f · 4 steps
    ▌ ? Deploy to production  Run it? [y/N] y
    ▌ ✓ Test  0.3 s
    ▌ ⠴ Deploy to production 0.1 s
    ▌ 1 of 4 done · 0.5 s · Ctrl-C cancels
    ");
}

#[test]
fn a_window_that_becomes_narrower_is_painted_without_remains() {
    let mut view = View::terminal(false);
    let mut screen = Screen::new(WIDE);
    for (at, event) in two_in_parallel() {
        screen.write(&view.apply(ms(at), &event, WIDE));
    }
    screen.write(&view.tick(ms(4_000), WIDE));
    for columns in [37, 24, 60, 21, 80] {
        let size = Size { columns, rows: 24 };
        screen.resize(size);
        screen.write(&view.tick(ms(4_000 + u64::from(columns) * 100), size));
        let painted = screen.text().matches("Test").count();
        assert_eq!(painted, 1, "at {columns} columns:\n{}", screen.text());
    }
    screen.write(&view.close(WIDE));
    assert!(!screen.text().contains("Test"), "{}", screen.text());
}

#[test]
fn nothing_is_painted_when_nothing_changed() {
    let mut view = View::terminal(false);
    view.apply(ms(0), &four_steps(), WIDE);
    view.tick(ms(10), WIDE);
    assert_eq!(view.tick(ms(20), WIDE), "");
    assert_ne!(view.tick(ms(120), WIDE), "");
}

#[test]
fn what_waits_says_for_what_and_comes_after_what_runs() {
    let why = "Deploy to staging of another run holds the environment".to_owned();
    let mut events = two_in_parallel();
    events.push((3_700, Event::Waiting { index: 0, why }));
    insta::assert_snapshot!(frame_of(&events, 3_900, WIDE), @"
    ▌ ⠏ Test  0.6 s │ test walk::one_push ... ok
    ▌ ⠏ Lint  0.6 s │ Checking cofferdam v0.1.0 (/workspace/a/very/long/path/to/it)
    ▌ ◌ Build       ▌ waits: Deploy to staging of another run holds the environment
    ▌ 0 of 4 done · 3.9 s · Ctrl-C cancels
    ");
    let plain = plain_of(&events);
    let last = plain.lines().find(|line| line.contains("waits"));
    insta::assert_snapshot!(last.unwrap(), @"▌ Build                ▌ waits: Deploy to staging of another run holds the environment");
}
