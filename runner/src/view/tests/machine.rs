//! One JSON object per line.

use serde_json::Value;

use super::*;

fn json(event: &Event) -> String {
    View::json().apply(ms(1_234), event, WIDE)
}

/// One event of each kind, outcome and state.
fn all_events() -> Vec<Event> {
    let index = 3;
    let why = || "because".to_owned();
    let staged = Row {
        stage: Some("Check".to_owned()),
        ..row(0, "Test", Some(7))
    };
    let path = "a/b".to_owned();
    let bytes = 12;
    let exit_unknown = Outcome::Failed {
        exit: None,
        why: why(),
    };
    let what = "oidc".to_owned();
    let outcomes = [
        Outcome::Passed,
        exit(1),
        exit_unknown,
        Outcome::Error { why: why() },
        cancelled("because"),
        Outcome::Skipped { why: why() },
        Outcome::NotRun { why: why() },
        Outcome::Unsupported { what, line: 9 },
    ];
    let states = [
        RunState::Passed,
        RunState::Failed,
        RunState::Error,
        RunState::Cancelled,
    ];
    let mut events = vec![
        began(vec![staged]),
        started(index),
        log(index, "ü\n"),
        logged_by(Origin::System, index, b"\xff"),
        Event::Waiting { index, why: why() },
        Event::Asked { index },
        Event::Artifact { index, path, bytes },
        Event::Cancelling,
    ];
    events.extend(outcomes.map(|outcome| ended(index, outcome)));
    events.extend(states.map(|state| Event::Ended { state }));
    events
}

#[test]
fn every_event_is_one_object_with_its_time() {
    let lines: String = all_events().iter().map(json).collect();
    insta::assert_snapshot!(lines, @r#"
    {"at_ms":1234,"event":"began","format":1,"pipeline":"branches › main","commit":"1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d","command":"cofferdam run","steps":[{"step":0,"name":"Test","stage":"Check","group":7,"runs":"container image"}]}
    {"at_ms":1234,"event":"step-started","step":3}
    {"at_ms":1234,"event":"log","step":3,"origin":"stdout","text":"ü\n","base64":null}
    {"at_ms":1234,"event":"log","step":3,"origin":"system","text":"�","base64":"/w=="}
    {"at_ms":1234,"event":"waiting","step":3,"why":"because"}
    {"at_ms":1234,"event":"asked","step":3}
    {"at_ms":1234,"event":"artifact","step":3,"path":"a/b","bytes":12}
    {"at_ms":1234,"event":"cancelling"}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"passed","exit":null,"why":null,"line":null,"log":null}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"failed","exit":1,"why":null,"line":null,"log":".cofferdam/logs/4.log"}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"failed","exit":null,"why":"because","line":null,"log":".cofferdam/logs/4.log"}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"error","exit":null,"why":"because","line":null,"log":".cofferdam/logs/4.log"}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"cancelled","exit":null,"why":"because","line":null,"log":null}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"skipped","exit":null,"why":"because","line":null,"log":null}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"not-run","exit":null,"why":"because","line":null,"log":null}
    {"at_ms":1234,"event":"step-ended","step":3,"outcome":"unsupported","exit":null,"why":"oidc","line":9,"log":".cofferdam/logs/4.log"}
    {"at_ms":1234,"event":"ended","state":"passed"}
    {"at_ms":1234,"event":"ended","state":"failed"}
    {"at_ms":1234,"event":"ended","state":"error"}
    {"at_ms":1234,"event":"ended","state":"cancelled"}
    "#);
}

#[test]
fn what_a_terminal_would_obey_is_escaped_and_comes_back_unchanged() {
    let text = "\u{1b}[2J\u{7f}\u{9b}1m\u{202e}\u{e0041}\"\\\n\u{0}é👩‍💻";
    let line = json(&log(0, text));
    assert!(!line.trim_end_matches('\n').contains(char::is_control));
    assert!(!line.contains(['\u{202e}', '\u{e0041}']));
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["text"], text);
    assert_eq!(value["base64"], Value::Null);
}
