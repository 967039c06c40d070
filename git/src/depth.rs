//! How much history a work tree gets.
//!
//! <https://support.atlassian.com/bitbucket-cloud/docs/git-clone-behavior/>

use crate::limits::DEPTH_FIRST;

/// Generations of history, a commit itself being the first. Fifty, unless somebody asks for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth(u32);

impl Depth {
    /// All of it. To git itself this number means so (`INFINITE_DEPTH` in its `shallow.h`).
    pub const FULL: Self = Self(0x7fff_ffff);

    /// The newest generations; none is taken for one.
    pub fn newest(generations: u32) -> Self {
        Self(generations.clamp(1, Self::FULL.0))
    }

    /// As git's option `--depth` takes it.
    pub(crate) fn generations(self) -> u32 {
        self.0
    }
}

impl Default for Depth {
    fn default() -> Self {
        Self(DEPTH_FIRST)
    }
}

/// A pipeline file's `depth`, in which nothing is all of it.
impl From<Option<u32>> for Depth {
    fn from(generations: Option<u32>) -> Self {
        generations.map_or(Self::FULL, Self::newest)
    }
}
