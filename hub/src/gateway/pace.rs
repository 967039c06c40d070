//! How fast a runner may speak: beyond that it is read later, never lost.

use std::time::Duration;

use tokio::time::Instant;

/// Frames per second that a runner may send for long. Five hundred steps in a second, with four events
/// and as many log frames each, stay below it.
const FRAMES_PER_SEC: u32 = 5_000;

/// Frames that it may send at once: what a spool of a short outage holds.
const BURST: u32 = 5_000;

/// A bucket that fills at [`FRAMES_PER_SEC`] and holds [`BURST`].
#[derive(Debug)]
pub(super) struct Pace {
    /// When the bucket was, or will be, full.
    full_at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one frame out, and says from when on the next may be read.
    pub(super) fn take(&mut self, now: Instant) -> Instant {
        let each = Duration::from_secs(1) / FRAMES_PER_SEC;
        self.full_at = self.full_at.max(now) + each;
        let deepest = self.full_at.checked_sub(each * BURST);
        deepest.map_or(now, |earliest| earliest.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_read_at_once_and_a_flood_at_its_pace() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..BURST {
            assert_eq!(pace.take(now), now);
        }
        for _ in 0..FRAMES_PER_SEC {
            pace.take(now);
        }
        let next = pace.take(now);
        let wait = next - now;
        assert!(
            wait > Duration::from_secs(1) && wait < Duration::from_millis(1010),
            "{wait:?}"
        );
        assert_eq!(
            pace.take(now + Duration::from_secs(9)),
            now + Duration::from_secs(9)
        );
    }
}
