//! Whatever is written in whatever window.

use proptest::prelude::*;

use super::super::text::width;
use super::*;

/// Bytes that a step may write: anything, text of all kinds, and what steers terminals more often than
/// chance would have it.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let steering = "[\r\n\t\u{1b}\\[0-9;mAJK▌│\u{202e}\u{9b}\u{200d}\u{fe0f}\u{301}構👩é ]{0,60}";
    let colour = prop_oneof![
        "\u{1b}\\[[0-9;:]{0,12}m(\u{1b}\\[K)?",
        "\u{1b}\\[(0|1|2|7|8|31|46|97|38;5;[0-9]{1,3}|48;2;1;2;3)m",
    ];
    // Whatever stands around a colour, halves of a mark of ours included.
    let around = prop_oneof![
        Just(b"\xe2\x96".to_vec()),
        Just(b"\x8c".to_vec()),
        "[ a\t\r\n▌█\u{301}\u{fe0f}\u{200d}☺👩\u{1b}\\[m;1]{0,5}".prop_map(String::into_bytes),
    ];
    let coloured = proptest::collection::vec((colour, around), 0..8).prop_map(|pieces| {
        let pieces = pieces.into_iter();
        pieces
            .flat_map(|(colour, around)| [colour.into_bytes(), around].concat())
            .collect()
    });
    prop_oneof![
        coloured,
        proptest::collection::vec(any::<u8>(), 0..80),
        any::<String>().prop_map(String::into_bytes),
        steering.prop_map(String::into_bytes),
    ]
}

#[derive(Clone, Debug)]
struct Run {
    name: String,
    pieces: Vec<(u16, Origin, Vec<u8>)>,
    why: String,
    size: Size,
}

fn run() -> impl Strategy<Value = Run> {
    let origin = prop_oneof![
        Just(Origin::System),
        Just(Origin::Stdout),
        Just(Origin::Stderr)
    ];
    let piece = (0..3_u16, origin, bytes());
    let text = || bytes().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (
        text(),
        proptest::collection::vec(piece, 0..8),
        text(),
        (1..120_u16, 1..12_u16),
    )
        .prop_map(|(name, pieces, why, (columns, rows))| Run {
            name,
            pieces,
            why,
            size: Size { columns, rows },
        })
}

fn events_of(run: &Run) -> Vec<(u64, Event)> {
    let Run {
        name, pieces, why, ..
    } = run;
    let why = || why.clone();
    let mut events = vec![(
        0,
        began(vec![
            row(0, name, None),
            row(1, name, Some(1)),
            row(2, "Lint", Some(1)),
            row(3, name, None),
        ]),
    )];
    events.extend((0..2).map(|index| (index.into(), started(index))));
    events.push((
        2,
        Event::Waiting {
            index: 2,
            why: why(),
        },
    ));
    for (index, origin, bytes) in pieces {
        events.push((3, logged_by(*origin, *index, bytes)));
    }
    let failed = Outcome::Failed {
        exit: None,
        why: why(),
    };
    events.extend([
        (4, Event::Asked { index: 3 }),
        (
            5,
            Event::Artifact {
                index: 0,
                path: why(),
                bytes: 3,
            },
        ),
        (6, ended(3, Outcome::Skipped { why: why() })),
        (70_000, ended(0, failed)),
        (70_000, Event::Cancelling),
        (80_000, ended(1, Outcome::Error { why: why() })),
        (
            80_000,
            ended(
                2,
                Outcome::Unsupported {
                    what: why(),
                    line: 3,
                },
            ),
        ),
        (
            90_000,
            Event::Ended {
                state: RunState::Cancelled,
            },
        ),
    ]);
    events
}

/// The bytes of a shown text, with what was shown by its number turned back.
fn unescaped(shown: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = shown;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(number) = rest.strip_prefix("u{") {
            let (digits, behind) = number.split_once('}').unwrap();
            let character = char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
            bytes.extend_from_slice(character.to_string().as_bytes());
            rest = behind;
        } else {
            bytes.push(u8::from_str_radix(&rest[1..3], 16).unwrap());
            rest = &rest[3..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// A line without its whole colours, each with the erasure behind it.
fn without_colours(line: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = line;
    while let Some((&first, behind)) = rest.split_first() {
        let parameters = rest.strip_prefix(b"\x1b[").unwrap_or_default();
        let length = parameters
            .iter()
            .take_while(|byte| b"0123456789;:".contains(byte))
            .count();
        if parameters.get(length) == Some(&b'm') {
            let text = &parameters[length + 1..];
            let erased = text.strip_prefix(b"\x1b[K");
            rest = erased.or(text.strip_prefix(b"\x1b[0K")).unwrap_or(text);
        } else {
            kept.push(first);
            rest = behind;
        }
    }
    kept
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_window_and_no_code_but_ours_gets_out(run in run()) {
        let mut view = View::terminal(true);
        let mut model = Model::default();
        let mut screen = Screen::new(run.size);
        for (at, event) in events_of(&run) {
            model.apply(ms(at), &event);
            let frame = frame(&model, ms(at), run.size, false);
            prop_assert!(frame.lines().count() < usize::from(run.size.rows).max(2));
            for line in frame.lines() {
                prop_assert!(width(line) <= usize::from(run.size.columns), "{line:?}");
                prop_assert!(!line.contains(char::is_control), "{line:?}");
                prop_assert!(line.starts_with('▌'), "{line:?}");
                prop_assert!(line.matches('▌').count() <= 2, "{line:?}");
            }
            // The screen itself panics at a code that is not ours and at a line that is too wide.
            screen.write(&view.apply(ms(at), &event, run.size));
            screen.write(&view.tick(ms(at + 1), run.size));
        }
        for line in screen.text().lines() {
            prop_assert!(line.starts_with(['▌', '│']), "{line:?}");
        }
    }

    #[test]
    fn plain_output_holds_all_that_was_written(
        pieces in proptest::collection::vec(bytes(), 0..8)
    ) {
        // A backslash of the step's own looks like one of ours.
        let pieces: Vec<Vec<u8>> = pieces
            .into_iter()
            .map(|piece| piece.into_iter().filter(|byte| *byte != b'\\').collect())
            .collect();
        let mut events = vec![(0, began(vec![row(0, "T", None)]))];
        events.extend(pieces.iter().map(|piece| (1, log(0, piece))));
        events.push((2, ended(0, Outcome::Passed)));
        let plain = plain_of(&events);
        let shown: Vec<&str> = plain.lines().filter_map(|line| line.strip_prefix("│ T │ ")).collect();
        for line in plain.lines() {
            prop_assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
            prop_assert!(line.starts_with(['▌', '│']), "{line:?}");
        }
        let written = pieces.concat();
        let lines = written.split(|byte| matches!(byte, b'\r' | b'\n'));
        let written: Vec<u8> = lines.flat_map(without_colours).collect();
        prop_assert_eq!(unescaped(&shown.concat()), written);
    }

    #[test]
    fn a_json_line_gives_back_the_bytes(bytes in bytes()) {
        let line = View::json().apply(ms(0), &log(0, &bytes), WIDE);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let back = match value["base64"].as_str() {
            Some(base64) => data_encoding::BASE64.decode(base64.as_bytes()).unwrap(),
            None => value["text"].as_str().unwrap().as_bytes().to_vec(),
        };
        prop_assert_eq!(back, bytes);
        prop_assert!(!line.trim_end_matches('\n').contains(char::is_control));
    }
}
