//! Every key of the language, and what this version does with it: the one table.
//!
//! `read` walks it to decide about each key of a file, and the documentation is printed from it, so that neither can say
//! what the other does not do. A key is found by the mapping it stands in and its name; free names (patterns, services,
//! variables) are absent.

mod form;
mod table;

pub(crate) use form::place;
pub use form::{Form, PLACES, Place, Variant};
pub use table::KEYS;

/// What this version does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// It does what the language says.
    Honoured,
    /// Nothing has to be done for it here, and nobody needs to be told.
    Accepted,
    /// It has no effect, and the build is right without it. The file gets a warning.
    Warned,
    /// It would change what the step means, and this version cannot do it: the file gets a warning, and the step fails when
    /// its turn comes, as `unsupported`, with the line.
    Unsupported,
    /// The file is refused.
    Refused,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The mapping that it stands in: `step`, `clone`. The file's own mapping is `file`.
    pub place: &'static str,
    pub name: &'static str,
    pub tier: Tier,
    pub form: Form,
    /// The value with which the key asks for what happens anyway, and is honoured whatever its tier. Empty: there is none.
    pub default: &'static str,
    /// For the reader of the documentation, and the second half of the warning.
    pub note: &'static str,
}

/// Finds the row of a key.
pub(crate) fn find(place: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.place == place && key.name == name)
}

/// All keys of a place, for people: `` `read`, `write` ``.
pub(crate) fn listed(place: &str) -> String {
    let names = KEYS.iter().filter(|key| key.place == place);
    let names: Vec<String> = names.map(|key| format!("`{}`", key.name)).collect();
    names.join(", ")
}

/// The key of a place that somebody may have meant who wrote `name`.
pub(crate) fn nearest(place: &str, name: &str) -> Option<&'static str> {
    let names = KEYS
        .iter()
        .filter(|key| key.place == place)
        .map(|key| key.name);
    names
        .map(|known| (edits(name, known), known))
        .filter(|&(edits, _)| edits <= 2)
        .min()
        .map(|found| found.1)
}

/// How many single-character changes lead from one word to the other, two neighbours that changed places counting as one; 9
/// for words that cannot be near.
fn edits(left: &str, right: &str) -> usize {
    if left.len().abs_diff(right.len()) > 2 {
        return 9;
    }
    let (left, right) = (left.to_ascii_lowercase(), right.to_ascii_lowercase());
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.iter().enumerate() {
        let mut below = vec![index + 1];
        for (column, to) in right.iter().enumerate() {
            let replaced = row[column] + usize::from(from != to);
            let mut least = replaced.min(row[column + 1] + 1).min(below[column] + 1);
            if index > 0 && column > 0 && *from == right[column - 1] && left[index - 1] == *to {
                least = least.min(above[column - 1] + 1);
            }
            below.push(least);
        }
        above = std::mem::replace(&mut row, below);
    }
    // A word of three letters is two changes away from far too much.
    if row[right.len()] * 2 >= right.len() {
        9
    } else {
        row[right.len()]
    }
}
