//! `slow [SECONDS]`: prints a line, sleeps, prints another line; two seconds by default.
//!
//! What reads its output live sees the first line well before the step has ended.

use std::io::{self, Write};
use std::time::Duration;

fn main() -> io::Result<()> {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(2.0);
    let mut out = io::stdout().lock();
    writeln!(out, "slow: started")?;
    out.flush()?;
    std::thread::sleep(Duration::from_secs_f64(seconds));
    writeln!(out, "slow: finished")
}
