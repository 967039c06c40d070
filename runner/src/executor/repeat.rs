//! What makes two runs of a module the same: a wall clock that stands, and random numbers from a seed.
//!
//! Comes from the file's `clock` and `random` by way of `step`, or from `step run`; goes to the step's process. What
//! is not covered: the monotonic clock measures real time from the step's start, because waiting would not end
//! otherwise, and files that a step makes carry the host's time.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The latest time that a preview 1 guest can be shown, in seconds since 1970: it counts nanoseconds in 64 bits. In 2554.
const UNIX_SECS_MAX: u64 = u64::MAX / 1_000_000_000;

/// Stands before what a seed is made of. The number is raised when the same text is to give other numbers.
const SEED_DOMAIN: &str = "cofferdam random 1";

/// What a guest's wall clock shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestClock {
    /// The time.
    #[default]
    Real,
    /// This, always, in seconds since 1970.
    Fixed(u64),
}

impl GuestClock {
    /// A clock that stands; `None` if no guest could be shown that time.
    pub fn fixed(unix_secs: u64) -> Option<Self> {
        (unix_secs <= UNIX_SECS_MAX).then_some(Self::Fixed(unix_secs))
    }
}

/// Where a guest's random numbers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestRandom {
    /// The operating system.
    #[default]
    Real,
    /// Drawn from `ChaCha20` under this key: whoever knows the key knows the numbers.
    Seeded([u8; 32]),
}

impl GuestRandom {
    /// Numbers that are the same for the same text.
    pub fn seeded(text: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(SEED_DOMAIN)
            .chain_update([0])
            .chain_update(text);
        Self::Seeded(hash.finalize().into())
    }

    /// The numbers of a build's step: those of [`Self::seeded`] with `COMMIT:NAME`. Without a commit the text begins
    /// with the colon.
    pub fn of_step(commit: Option<&str>, name: &str) -> Self {
        Self::seeded(&format!("{}:{name}", commit.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_made_of_the_commit_and_the_steps_name() {
        let one = GuestRandom::of_step(Some("0a"), "Test");
        assert_eq!(one, GuestRandom::of_step(Some("0a"), "Test"));
        assert_eq!(one, GuestRandom::seeded("0a:Test"));
        assert_ne!(one, GuestRandom::of_step(Some("0a"), "Tests"));
        assert_ne!(one, GuestRandom::of_step(Some("0b"), "Test"));
        assert_ne!(one, GuestRandom::of_step(None, "Test"));
        // A promise: who keeps an output of a seeded step gets the same from a later release.
        let GuestRandom::Seeded(key) = one else {
            panic!("it is seeded");
        };
        let expected = Sha256::digest(b"cofferdam random 1\x000a:Test");
        assert_eq!(key, <[u8; 32]>::from(expected));
    }

    #[test]
    fn a_clock_stands_at_no_time_that_a_guest_cannot_be_shown() {
        assert_eq!(GuestClock::fixed(0), Some(GuestClock::Fixed(0)));
        assert!(GuestClock::fixed(18_446_744_073).is_some());
        assert_eq!(GuestClock::fixed(18_446_744_074), None);
    }
}
