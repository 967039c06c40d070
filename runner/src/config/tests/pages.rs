//! The pages for the operator say what the reader of the file does, key by key.

use std::collections::BTreeSet;

use super::read;
use crate::ceiling::{LIMITS, NOT_HELD};
use crate::config::{LEVEL_KEYS, keys};

const CEILING: &str = include_str!("../../../../docs/ceiling.md");
const OPERATOR: &str = include_str!("../../../../docs/operator.md");

/// The cells of every row of a page's tables whose first cell is a key.
fn rows(page: &str) -> Vec<Vec<String>> {
    page.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn every_key_of_a_level_is_on_the_page_with_its_defaults_and_no_other() {
    let mut written = BTreeSet::new();
    for row in rows(CEILING)
        .iter()
        .filter(|row| row.len() == 4 && !row[0].starts_with("limits."))
    {
        written.insert((row[0].clone(), row[1].clone(), row[2].clone()));
    }
    let known: BTreeSet<(String, String, String)> = LEVEL_KEYS
        .iter()
        .map(|key| {
            let word = |text: &str| {
                if text.is_empty() {
                    "–".to_owned()
                } else {
                    text.to_owned()
                }
            };
            let strangers = match (key.name, key.untrusted) {
                ("push_keys", _) => "–",
                (_, Some(text)) => text,
                (_, None) => "as `[trusted]",
            };
            (key.name.to_owned(), word(key.trusted), strangers.to_owned())
        })
        .collect();
    assert_eq!(written, known);
}

#[test]
fn every_limit_is_on_the_page_with_its_numbers_and_no_other() {
    let written: BTreeSet<Vec<String>> = rows(CEILING)
        .into_iter()
        .filter(|row| row[0].starts_with("limits."))
        .map(|row| row[..4].to_vec())
        .collect();
    let known: BTreeSet<Vec<String>> = LIMITS
        .iter()
        .map(|kind| {
            let name = kind.name;
            let shown = |amount| name.unit().shown(amount);
            vec![
                format!("limits.{}.{}", kind.executor, name.name()),
                shown(kind.default),
                shown(kind.max),
                shown(kind.possible),
            ]
        })
        .collect();
    assert_eq!(written, known);
    for (executor, name, _) in NOT_HELD {
        assert!(
            CEILING.contains(&format!("`limits.{executor}.{name}`")),
            "{executor} {name}"
        );
    }
}

#[test]
fn every_other_key_is_in_the_operators_table_and_no_other() {
    let written: BTreeSet<String> = OPERATOR
        .split("### runner.toml")
        .nth(1)
        .and_then(|rest| rest.split("\n##").next())
        .map(rows)
        .unwrap_or_default()
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    let is_level = |key: &String| key.starts_with("trusted") || key.starts_with("untrusted");
    let known: BTreeSet<String> = keys()
        .into_iter()
        .filter(|key| !is_level(key) && key != "git" && key != "container")
        .collect();
    assert_eq!(written, known);
}

#[test]
fn the_complete_example_is_read_and_leaves_no_key_out() {
    let of = |page: &'static str| page.split("```toml\n").skip(1);
    let examples: Vec<&str> = of(CEILING)
        .chain(of(OPERATOR))
        .filter_map(|rest| rest.split("```").next())
        .collect();
    for example in &examples {
        read(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
    let complete = examples.iter().max_by_key(|example| example.len()).unwrap();
    for key in LEVEL_KEYS.iter().map(|key| key.name) {
        assert!(
            complete.contains(&format!("{key} = ")),
            "{key} is not in the example"
        );
    }
    for kind in &LIMITS {
        let name = kind.name.name();
        assert!(
            complete.contains(&format!("{name} = ")),
            "{name} is not in the example"
        );
    }
}
