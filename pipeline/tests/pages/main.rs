//! The pages that are printed from the table of keys, and hold them to it.
//!
//! A stale page fails; `UPDATE_DOCS=1 cargo test -p cofferdam-pipeline --test pages` writes it anew.

mod reference;
mod schema;
mod table;

use std::path::PathBuf;

/// The page's path, and its text as it is committed; empty if there is none yet.
fn committed(name: &str) -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    (path, text)
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says that the pages are to be written"
)]
fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1")
}

#[test]
fn the_reference_page_says_what_the_reader_does() {
    let page = reference::page();
    let (path, text) = committed("pipeline-reference.md");
    if is_update() {
        std::fs::write(&path, &page).unwrap();
        return;
    }
    assert!(page == text, "{} is stale: UPDATE_DOCS=1", path.display());
}

#[test]
fn the_schema_for_editors_says_what_the_reader_does() {
    let schema = schema::schema();
    let (path, text) = committed("cofferdam.schema.json");
    if is_update() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
        return;
    }
    // Compared by meaning: in which order keys are printed depends on what else is built.
    let text: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(schema == text, "{} is stale: UPDATE_DOCS=1", path.display());
}

#[test]
fn every_mapping_that_a_form_names_has_keys_and_a_heading() {
    for place in schema::places() {
        assert_ne!(reference::heading(place), "", "{place}");
        assert!(
            cofferdam_pipeline::KEYS
                .iter()
                .any(|key| key.place == place),
            "{place}"
        );
    }
}
