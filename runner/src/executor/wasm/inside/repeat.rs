//! The guest's clock and random numbers, where they are not the host's.
//!
//! The monotonic clock stays real; it starts at 0 with the guest. So a guest that sleeps, waits with a time limit or
//! measures goes on, and only the time of day stands.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use wasmtime_wasi::{HostWallClock, WasiCtxBuilder};

use crate::executor::repeat::{GuestClock, GuestRandom};

/// A wall clock that stands.
struct Standing(Duration);

impl HostWallClock for Standing {
    fn resolution(&self) -> Duration {
        // It was given in whole seconds.
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Gives a guest its clock and its numbers: the same ones to preview 1 and preview 2.
pub(super) fn set(builder: &mut WasiCtxBuilder, clock: GuestClock, random: GuestRandom) {
    if let GuestClock::Fixed(unix_secs) = clock {
        builder.wall_clock(Standing(Duration::from_secs(unix_secs)));
    }
    if let GuestRandom::Seeded(key) = random {
        // A stream each, or what a guest takes from one would show in the other.
        let [secure, insecure, mut seed] = [0, 1, 2].map(|number| stream(key, number));
        let mut bytes = [0; 16];
        seed.fill_bytes(&mut bytes);
        builder
            .secure_random(secure)
            .insecure_random(insecure)
            .insecure_random_seed(u128::from_le_bytes(bytes));
    }
}

fn stream(key: [u8; 32], number: u64) -> ChaCha20Rng {
    let mut stream = ChaCha20Rng::from_seed(key);
    stream.set_stream(number);
    stream
}
