//! Small values with a grammar of their own: sizes, times, workspace paths, names.
//!
//! Pure functions from a text to a value, or to the reason why not as the end of a sentence. Who asks adds the place.

/// Largest size that can be asked for: 1 PiB. Above it a limit is a slip of the keyboard, and below it every sum of a few
/// sizes fits in 64 bits.
const SIZE_BYTES_MAX: u64 = 1 << 50;

/// Longest time that can be asked for: a week.
pub(super) const TIME_SECS_MAX: u64 = 7 * 24 * 60 * 60;

/// Longest path. Linux takes no more than this in one system call.
const PATH_BYTES_MAX: usize = 4096;

/// Longest name of a secret or an environment variable. Real ones have fewer than 60.
const NAME_BYTES_MAX: usize = 255;

/// `256MiB` → bytes.
pub(super) fn size_bytes(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = number_and_unit(text).ok_or("is not a size such as `256MiB`")?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err("needs a unit: `B`, `KiB`, `MiB`, `GiB`"),
    };
    match number.checked_mul(factor) {
        Some(0) => Err("is nothing; leave the limit out for the host's own"),
        Some(bytes) if bytes <= SIZE_BYTES_MAX => Ok(bytes),
        _ => Err("is larger than 1 PiB"),
    }
}

/// `60s`, `5m`, `1500ms` → seconds, rounded up.
pub(super) fn time_secs(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = number_and_unit(text).ok_or("is not a time such as `60s`")?;
    let secs = match unit {
        "ms" => Some(number.div_ceil(1_000)),
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(60 * 60),
        _ => return Err("needs a unit: `s`, `m`, `h`"),
    };
    match secs {
        Some(0) => Err("is no time; leave the limit out for the host's own"),
        Some(secs) if secs <= TIME_SECS_MAX => Ok(secs),
        _ => Err("is longer than a week"),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

/// A path inside the workspace, with its components joined by single `/`; `.` is the workspace itself.
pub(super) fn workspace_path(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        return Err("is absolute; paths start at the repository's root");
    }
    if text.len() > PATH_BYTES_MAX {
        return Err("is longer than 4096 bytes");
    }
    if text.contains(char::is_control) {
        return Err("holds a control character");
    }
    let mut components = Vec::new();
    for component in text.split('/') {
        match component {
            "" | "." => {}
            ".." => return Err("leads upwards by `..`; no step leaves its workspace"),
            component => components.push(component),
        }
    }
    if components.is_empty() {
        return Ok(".".to_owned());
    }
    Ok(components.join("/"))
}

/// Letters, digits and `_`, as a shell wants the name of a variable.
pub(super) fn variable_name(text: &str) -> Result<String, &'static str> {
    let is_word = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_word || text.is_empty() || text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("is not a name of letters, digits and `_`");
    }
    if text.len() > NAME_BYTES_MAX {
        return Err("is longer than 255 bytes");
    }
    Ok(text.to_owned())
}

/// Whether a value is exactly one variable: `$NAME` or `${NAME}`.
pub(super) fn is_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else {
        return false;
    };
    let name = name
        .strip_prefix('{')
        .and_then(|name| name.strip_suffix('}'))
        .unwrap_or(name);
    variable_name(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{is_variable, size_bytes, time_secs, workspace_path};

    #[test]
    fn sizes_and_times_need_a_unit_and_a_sane_number() {
        assert_eq!(size_bytes("256MiB"), Ok(256 << 20));
        assert_eq!(size_bytes("1 GB"), Ok(1_000_000_000));
        assert_eq!(time_secs("5m"), Ok(300));
        assert_eq!(time_secs("1ms"), Ok(1));
        for wrong in [
            "",
            "MiB",
            "256",
            "256mib",
            "-1B",
            "1.5GiB",
            "0B",
            "99999999TiB",
            "18446744073709551616B",
        ] {
            assert!(size_bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "s", "60", "0s", "8days", "200h", "99999999999999999h"] {
            assert!(time_secs(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_is_normalised_and_never_leaves_the_workspace() {
        assert_eq!(workspace_path("./a//b/./c/").as_deref(), Ok("a/b/c"));
        assert_eq!(workspace_path("./").as_deref(), Ok("."));
        assert_eq!(workspace_path("..a/b..").as_deref(), Ok("..a/b.."));
        for wrong in [
            "/",
            "/etc/passwd",
            "..",
            "a/../b",
            "a/..",
            "a\nb",
            "a\u{1b}[31m",
        ] {
            assert!(workspace_path(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_a_value_that_is_one_variable_counts_as_one() {
        assert!(is_variable("$A") && is_variable("${A_1}"));
        assert!(
            !is_variable("$") && !is_variable("$A-B") && !is_variable("x$A") && !is_variable("${A")
        );
    }
}
