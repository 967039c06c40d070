//! What one script needs from outside: names that it reads before it sets them.
//!
//! From the lines of a `script` to wants, in the order of the text. All lines of a script run in one shell, so what one line
//! sets the next ones know; `after-script` is a shell of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::Need;
use super::shell::{self, Word};

/// Names that one script sets and that are remembered. A script of a thousand lines has a hundred.
const SET_MAX: usize = 10_000;

/// A name that a script wants to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) need: Need,
}

/// One shell, from its first line on.
#[derive(Debug, Default)]
pub(super) struct Shell {
    set: BTreeSet<String>,
    /// Which wants go back to a use that a later assignment excuses.
    open: BTreeMap<String, Vec<usize>>,
    wants: Vec<Want>,
    /// Programs, by the line that starts them.
    runs: Vec<(String, u32)>,
    has_included: bool,
}

impl Shell {
    /// Takes one item of a script, of which the text begins at `line`.
    pub(super) fn take(&mut self, text: &str, line: u32) {
        shell::scan(text, &mut |word| self.word(&word, line));
    }

    fn word(&mut self, word: &Word<'_>, first_line: u32) {
        match word {
            Word::Read {
                name,
                lines_before,
                has_default,
                is_of_itself,
            } => {
                if self.set.contains(*name) {
                    return;
                }
                let need = match (has_default, self.has_included) {
                    (true, _) => Need::HasDefault,
                    (false, true) => Need::MayBeIncluded,
                    (false, false) => Need::Must,
                };
                if need == Need::Must && !is_of_itself {
                    let open = self.open.entry((*name).to_owned()).or_default();
                    open.push(self.wants.len());
                }
                self.wants.push(Want {
                    name: (*name).to_owned(),
                    line: first_line.saturating_add(*lines_before),
                    need,
                });
            }
            Word::Set { name } => {
                for want in self.open.remove(name).unwrap_or_default() {
                    self.wants[want].need = Need::SetLater;
                }
                if self.set.len() < SET_MAX {
                    self.set.insert(name.clone());
                }
            }
            Word::Runs {
                program,
                lines_before,
            } => {
                let line = first_line.saturating_add(*lines_before);
                self.runs.push((program.clone(), line));
            }
            Word::Includes => self.has_included = true,
        }
    }

    /// What it wants to find, and what it starts.
    pub(super) fn end(self) -> (Vec<Want>, Vec<(String, u32)>) {
        (self.wants, self.runs)
    }
}
