//! Colours for the remarks of `check` and `migrate`: a terminal gets some, everything else gets none.
//!
//! Text comes in harmless already; only here does a control character get in front of it.

use std::io::{IsTerminal as _, stdout};

use cofferdam_pipeline::{Diagnostic, Severity};

use crate::config::Environment;

/// How a word stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Bold,
    /// What is beside the point.
    Faint,
    Good,
    Warning,
    Bad,
}

/// Whether standard output is for a person's eyes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    is_coloured: bool,
}

impl Paint {
    pub(super) fn of_stdout(environment: &Environment) -> Self {
        Self {
            is_coloured: stdout().is_terminal() && !environment.wants_no_colour(),
        }
    }

    /// The text in that ink. The numbers are those of ECMA-48, "select graphic rendition".
    pub(super) fn put(self, ink: Ink, text: &str) -> String {
        let number = match ink {
            Ink::Bold => "1",
            Ink::Faint => "2",
            Ink::Good => "32",
            Ink::Warning => "1;33",
            Ink::Bad => "1;31",
        };
        if self.is_coloured {
            format!("\u{1b}[{number}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// A remark as a compiler would print it, with an empty line at the end.
    pub(super) fn remark(self, remark: &Diagnostic, source: &[u8], file: &str) -> String {
        let plain = remark.render(source, file);
        let ink = match remark.severity {
            Severity::Error => Ink::Bad,
            Severity::Warning => Ink::Warning,
        };
        let mut lines = Vec::new();
        for (number, line) in plain.lines().enumerate() {
            let carets = line.trim_start_matches([' ', '|']);
            lines.push(
                if let (0, Some((what, message))) = (number, line.split_once(": ")) {
                    format!("{}: {message}", self.put(ink, what))
                } else if !carets.is_empty() && carets.chars().all(|c| c == '^') {
                    let margin = &line[..line.len() - carets.len()];
                    format!("{margin}{}", self.put(ink, carets))
                } else {
                    line.to_owned()
                },
            );
        }
        lines.join("\n") + "\n"
    }
}

/// `no errors`, `1 error`, `2 errors`.
pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_pipeline::{ChangedFiles, Push, Reference, resolve};

    #[test]
    fn colours_add_no_character_that_is_seen() {
        let source = b"pipelines:\n  default:\n    - step: {scrpt: [a]}\n";
        let push = Push {
            reference: Reference::Branch("main".to_owned()),
            commit_message: String::new(),
            custom: None,
        };
        let remarks = resolve(source, &push, ChangedFiles::Unknown).diagnostics;
        for remark in &remarks {
            let plain = remark.render(source, "p.yml");
            let coloured = Paint { is_coloured: true }.remark(remark, source, "p.yml");
            assert!(coloured.contains("\u{1b}[1;3"), "{coloured}");
            let bare = ["0", "1;31", "1;33"].iter().fold(coloured, |text, number| {
                text.replace(&format!("\u{1b}[{number}m"), "")
            });
            assert_eq!(bare, plain);
            let none = Paint { is_coloured: false }.remark(remark, source, "p.yml");
            assert_eq!(none, plain);
        }
        assert!(!remarks.is_empty());
    }
}
