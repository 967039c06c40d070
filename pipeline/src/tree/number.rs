//! What YAML takes for a number, which is not what people take for one: `1_000`, `0x1F` and `1.` are numbers.
//!
//! The forms are those that readers of YAML 1.2 agree on in practice, with the underscores of YAML 1.1. A key that wants a
//! text refuses every one of them, so a form that is missing here would let a file through that other readers refuse.
//! <https://yaml.org/spec/1.2.2/#1032-tag-resolution>

/// A number of the file, as far as any key of the language cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// Without a fraction. What is beyond 64 bits is held at the bound.
    Whole(i64),
    /// With a fraction, infinite, or not a number.
    Broken,
}

/// Reads a plain scalar.
pub(super) fn read(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_negative = text.starts_with('-');
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Number::Broken);
    }
    if let Some((radix, digits)) = prefixed(unsigned) {
        return whole(digits, radix, is_negative);
    }
    whole(unsigned, 10, is_negative).or_else(|| broken(unsigned, is_negative))
}

fn prefixed(text: &str) -> Option<(u32, &str)> {
    let rest = text.strip_prefix('0')?;
    let radix = match rest.chars().next()? {
        'x' => 16,
        'o' => 8,
        'b' => 2,
        _ => return None,
    };
    Some((radix, &rest[1..]))
}

fn whole(digits: &str, radix: u32, is_negative: bool) -> Option<Number> {
    let mut number: i64 = 0;
    let mut has_digit = false;
    for character in digits.chars().filter(|&character| character != '_') {
        let digit = i64::from(character.to_digit(radix)?);
        has_digit = true;
        number = number
            .saturating_mul(i64::from(radix))
            .saturating_add(digit);
    }
    has_digit.then_some(Number::Whole(if is_negative { -number } else { number }))
}

/// `1.5`, `1.`, `.5`, `1e3`.
fn broken(text: &str, is_negative: bool) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    let is_digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !is_digits(before) || !is_digits(after) || (before.is_empty() && after.is_empty()) {
        return None;
    }
    // `.5e3` without a sign is a text to most readers, and a number to none that matter.
    if before.is_empty() && exponent.is_some_and(|exponent| !exponent.starts_with(['-', '+'])) {
        return None;
    }
    let cleaned: String = text.chars().filter(|&c| c != '_').collect();
    let number: f64 = cleaned.parse().ok()?;
    if number.fract() != 0.0 || !number.is_finite() {
        return Some(Number::Broken);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast holds at the bounds of 64 bits, which is what is wanted"
    )]
    let whole = number as i64;
    Some(Number::Whole(if is_negative { -whole } else { whole }))
}

#[cfg(test)]
mod tests {
    use super::{Number, read};

    /// The spellings were given to ruamel.yaml 0.18, and these are its answers.
    #[test]
    fn a_plain_scalar_is_a_number_where_other_readers_say_so() {
        for (text, expected) in [
            ("012", 12),
            ("0o12", 10),
            ("0x1F", 31),
            ("0b11", 3),
            ("1_000", 1000),
            ("1_", 1),
            ("-1", -1),
            ("+1", 1),
            ("-0x1f", -31),
            ("1.0", 1),
            ("1.", 1),
            ("1e3", 1000),
            ("1.5e3", 1500),
            ("99999999999999999999", i64::MAX),
        ] {
            assert_eq!(read(text), Some(Number::Whole(expected)), "{text}");
        }
        for text in [
            ".5", "1.5", "+.5", "-.5", ".inf", "-.inf", ".NaN", "1.0_1", "1e-3",
        ] {
            assert_eq!(read(text), Some(Number::Broken), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "..",
            "1e",
            "0o8",
            "0x",
            "_1",
            "1:30",
            "2020-01-01",
            "1.2.3",
            ".e3",
            "v1",
            "1x",
            "yes",
            "--1",
            "inf",
            "nan",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
