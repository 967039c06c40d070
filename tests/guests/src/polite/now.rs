//! `now [MILLISECONDS]`: prints the time of day, waits, prints it again, then prints a random number.
//!
//! For tests of a clock that stands and of numbers that come from a seed. The number is what seeds
//! this program's hash tables.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

fn main() -> io::Result<()> {
    let millis = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let mut out = io::stdout().lock();
    writeln!(out, "at {}", unix_nanos())?;
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(millis));
    let has_waited = begun.elapsed() >= Duration::from_millis(millis);
    writeln!(out, "waited {has_waited}")?;
    writeln!(out, "at {}", unix_nanos())?;
    writeln!(out, "random {:016x}", RandomState::new().hash_one("x"))
}

fn unix_nanos() -> u128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}
