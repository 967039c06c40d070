use proptest::prelude::*;

use super::*;

fn check(records: &[(u16, Origin, &[u8])]) -> String {
    let names = BTreeMap::from([(0, "Scan".to_owned()), (1, "Te\u{1b}st".to_owned())]);
    let mut log = LogText::new(names);
    let mut out = Vec::new();
    for (step, origin, bytes) in records {
        log.take("A", (*step, *origin), bytes, &mut out);
    }
    log.end(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn whose_each_line_is_can_be_seen() {
    insta::assert_snapshot!(check(&[
        (0, Origin::System, b"begins\n"),
        (0, Origin::Stdout, b"one\ntw"),
        (0, Origin::Stdout, b"o\n"),
        (0, Origin::Stdout, b"half"),
        (0, Origin::Stderr, b"other\n"),
        (0, Origin::Stdout, b" line\n\n"),
        (1, Origin::Stdout, b"no end"),
    ]), @r"
    ▌ step 1: Scan
    ▌ begins
    │ one
    │ two
    │ half
    │ other
    │  line
    │ 
    ▌ step 2: Te\u{1b}st
    │ no end
    ");
}

#[test]
fn a_carriage_return_begins_a_new_line_and_overwrites_nothing() {
    assert_eq!(
        check(&[
            (0, Origin::Stdout, b"10%\r20%\r\n"),
            (0, Origin::Stdout, b"a\r"),
            (0, Origin::Stdout, b"\nb\r\r")
        ]),
        "▌ step 1: Scan\n│ 10%\n│ 20%\n│ a\n│ b\n│ \n"
    );
}

#[test]
fn no_escape_sequence_and_no_mark_of_ours_comes_through() {
    let shown = check(&[(
        0,
        Origin::Stdout,
        "\u{1b}[1A\u{1b}[2K▌ fake\u{85}\u{2028}\u{9b}x\u{0}\ty".as_bytes(),
    )]);
    assert_eq!(
        shown,
        "▌ step 1: Scan\n│ \\u{1b}[1A\\u{1b}[2K\\u{258c} fake\\u{85}\\u{2028}\\u{9b}x\\u{0}\ty\n"
    );
}

#[test]
fn a_character_may_come_in_pieces() {
    let euro = "€".as_bytes();
    let shown = check(&[
        (0, Origin::Stdout, &euro[..1]),
        (0, Origin::Stderr, b"x"),
        (0, Origin::Stdout, &euro[1..]),
        (0, Origin::Stdout, b"\xff\xe2\x82"),
    ]);
    assert_eq!(shown, "▌ step 1: Scan\n│ x\n│ €\u{fffd}\u{fffd}\n");
}

proptest! {
    #[test]
    fn no_bytes_of_a_step_make_a_line_that_is_not_marked_as_a_steps(
        pieces in proptest::collection::vec(
            (0_u16..2, any::<bool>(), prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..20),
                "[\r\n▌│ \u{1b}x]{0,12}".prop_map(String::into_bytes),
            ]),
            0..12,
        ),
    ) {
        let records: Vec<(u16, Origin, &[u8])> = pieces.iter().map(|(step, is_err, bytes)| {
            let origin = if *is_err { Origin::Stderr } else { Origin::Stdout };
            (*step, origin, bytes.as_slice())
        }).collect();
        let shown = check(&records);
        for line in shown.lines() {
            let is_heading = line.starts_with("▌ step ");
            prop_assert!(is_heading || line.starts_with("│ "), "{line:?}");
            prop_assert!(is_heading || !line.contains(SYSTEM), "{line:?}");
            prop_assert!(!line.chars().any(|c| c.is_control() && c != '\t'), "{line:?}");
        }
    }
}
