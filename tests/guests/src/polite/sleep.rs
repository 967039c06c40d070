//! `sleep SECONDS`: blocks in one host call for that long, and prints nothing.

use std::time::Duration;

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse::<f64>().ok());
    let Some(seconds) = seconds.filter(|seconds| (0.0..1e9).contains(seconds)) else {
        eprintln!("usage: sleep SECONDS");
        std::process::exit(2);
    };
    std::thread::sleep(Duration::from_secs_f64(seconds));
}
