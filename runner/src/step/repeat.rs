//! What `clock: fixed` and `random: seeded` mean for a step of a build: the time of its commit, and numbers that come
//! from that commit and the step's name.
//!
//! Of a work tree with changes it is the commit that is checked out. Before the first commit the clock stands at the
//! beginning of 1970, and the name alone is the seed.

use cofferdam_git::{Commit, GitError};
use cofferdam_pipeline::{Clock, Random};

use crate::executor::repeat::{GuestClock, GuestRandom};

pub(super) async fn clock(asked: Clock, base: Option<&Commit>) -> Result<GuestClock, GitError> {
    Ok(match (asked, base) {
        (Clock::Real, _) => GuestClock::Real,
        (Clock::Fixed, None) => GuestClock::Fixed(0),
        (Clock::Fixed, Some(commit)) => GuestClock::Fixed(commit.committed_secs().await?),
    })
}

pub(super) fn random(asked: Random, base: Option<&Commit>, step: &str) -> GuestRandom {
    match asked {
        Random::Real => GuestRandom::Real,
        Random::Seeded => GuestRandom::of_step(base.map(|commit| commit.id().as_str()), step),
    }
}
