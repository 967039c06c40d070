//! How each step's last run in a work tree ended: what a step that is run alone may count on.
//!
//! One small file a step, below the run's own directory; begun anew by a run of all steps. A file that was not written to
//! its end says nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How a step's last run here ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastEnd {
    /// It never ran, or not since the last run of all steps began.
    Never,
    /// It ran, and what it left may be nothing.
    NotPassed,
    Passed,
}

/// The ends of all steps.
#[derive(Debug)]
pub(super) struct LastEnds {
    dir: PathBuf,
}

impl LastEnds {
    /// Opens what is in `dir`, which is made if it is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Writes down how a step ended.
    pub(super) fn note(&self, (ordinal, name): (u16, &str), has_passed: bool) -> io::Result<()> {
        let word = if has_passed { PASSED } else { NOT_PASSED };
        fs::write(self.file(ordinal), format!("{name}\n{word}\n"))
    }

    /// How the step of this place and name ended. In another plan another one may have that place.
    pub(super) fn of(&self, (ordinal, name): (u16, &str)) -> LastEnd {
        let text = fs::read_to_string(self.file(ordinal)).unwrap_or_default();
        let mut lines = text.lines();
        match (lines.next() == Some(name), lines.next()) {
            (true, Some(PASSED)) => LastEnd::Passed,
            (true, Some(NOT_PASSED)) => LastEnd::NotPassed,
            _ => LastEnd::Never,
        }
    }

    fn file(&self, ordinal: u16) -> PathBuf {
        self.dir.join(ordinal.to_string())
    }
}

const PASSED: &str = "passed";
const NOT_PASSED: &str = "not passed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_step_is_known_by_its_place_and_its_name() {
        let dir = tempfile::TempDir::new().unwrap();
        let ends = LastEnds::open(dir.path()).unwrap();
        ends.note((0, "build"), true).unwrap();
        ends.note((1, "test"), true).unwrap();
        ends.note((1, "test"), false).unwrap();
        fs::write(ends.file(2), "cut\npas").unwrap();
        for (step, expected) in [
            ((0, "build"), LastEnd::Passed),
            ((1, "test"), LastEnd::NotPassed),
            ((0, "test"), LastEnd::Never),
            ((2, "cut"), LastEnd::Never),
            ((3, "build"), LastEnd::Never),
        ] {
            assert_eq!(ends.of(step), expected, "{step:?}");
        }
    }
}
