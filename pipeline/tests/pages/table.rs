//! The table of keys, which documentation is printed from.

use std::collections::BTreeSet;

use cofferdam_pipeline::{KEYS, Tier};

#[test]
fn every_key_stands_in_the_table_once_and_says_what_it_does() {
    let mut seen = BTreeSet::new();
    for key in KEYS {
        assert!(
            seen.insert((key.place, key.name)),
            "{}.{}",
            key.place,
            key.name
        );
        assert!(
            !key.note.is_empty() && !key.note.ends_with('.'),
            "{}.{}",
            key.place,
            key.name
        );
    }
}

#[test]
fn nothing_is_refused_for_being_unsupported() {
    let refused = KEYS.iter().filter(|key| key.tier == Tier::Refused);
    let names: Vec<String> = refused
        .map(|key| format!("{}.{}", key.place, key.name))
        .collect();
    assert_eq!(names, ["wasm step.after-script", "wasm step.script"]);
}
