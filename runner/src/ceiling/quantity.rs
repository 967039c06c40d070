//! Sizes and durations as people write them, on a command line and in `runner.toml`: `64MiB`, `500ms`; and back.

use std::time::Duration;

const SIZES: [(&str, u64); 5] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("B", 1),
];

const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// A number of bytes: plain, or with `B`, `KiB`, `MiB`, `GiB`, `TiB`.
pub fn size(text: &str) -> Result<u64, String> {
    quantity(text, &SIZES, 1).ok_or_else(|| {
        "a size is a whole number of bytes, or one with KiB, MiB, GiB or TiB, for example 64MiB"
            .to_owned()
    })
}

/// A time above zero: with `ms`, `s`, `m` or `h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    quantity(text, &TIMES, 0)
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            "a time is a whole number above zero with ms, s, m or h, for example 60s".to_owned()
        })
}

fn quantity(text: &str, units: &[(&str, u64)], plain: u64) -> Option<u64> {
    let (number, unit) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, plain));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| number.parse().ok()).flatten()?;
    number.checked_mul(unit)
}

/// A number of bytes in the largest unit that says it exactly.
pub fn size_shown(bytes: u64) -> String {
    shown(bytes, &SIZES, "B")
}

/// A time in the largest unit that says it exactly.
pub fn duration_shown(time: Duration) -> String {
    shown(
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        &TIMES,
        "ms",
    )
}

fn shown(number: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let (unit, factor) = units
        .iter()
        .filter(|(_, factor)| number > 0 && number.is_multiple_of(*factor))
        .max_by_key(|(_, factor)| *factor)
        .copied()
        .unwrap_or((smallest, 1));
    format!("{}{unit}", number / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1B"),
            (1000, "1000B"),
            (64 << 20, "64MiB"),
            (1536 << 20, "1536MiB"),
            (u64::MAX, "18446744073709551615B"),
        ] {
            assert_eq!(size_shown(bytes), text);
            assert_eq!(size(text), Ok(bytes));
        }
        for (millis, text) in [(1, "1ms"), (90_000, "90s"), (7_200_000, "2h")] {
            let time = Duration::from_millis(millis);
            assert_eq!(duration_shown(time), text);
            assert_eq!(duration(text), Ok(time));
        }
    }

    #[test]
    fn sizes_are_read_as_written() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("512KiB", Some(512 << 10)),
            ("64MiB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("12B", Some(12)),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("+1", None),
            ("1.5GiB", None),
            ("64MB", None),
            ("64 MiB", None),
            ("18446744073709551616", None),
            ("18446744073709551615TiB", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn times_are_read_as_written_and_need_a_unit() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("60s", Some(60_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("0s", None),
            ("60", None),
            ("s", None),
            ("1d", None),
        ] {
            assert_eq!(
                duration(text).ok(),
                expected.map(Duration::from_millis),
                "{text}"
            );
        }
    }
}
