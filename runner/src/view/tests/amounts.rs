//! Words for durations and sizes, and texts cut to columns.

use super::super::text::{cut, duration, expand_tabs, fold, harmless, size, width, wrap};
use super::*;

#[test]
fn durations_and_sizes_read_as_people_say_them() {
    for (millis, expected) in [
        (0, "0.0 s"),
        (199, "0.1 s"),
        (59_999, "59.9 s"),
        (60_000, "1 min 00 s"),
        (3_599_999, "59 min 59 s"),
        (7_380_000, "2 h 03 min"),
    ] {
        assert_eq!(duration(ms(millis)), expected);
    }
    for (bytes, expected) in [
        (0, "0 bytes"),
        (1_023, "1023 bytes"),
        (1_536, "1.5 KiB"),
        ((1 << 20) - 1, "1023.9 KiB"),
        (5 << 30, "5.0 GiB"),
        (u64::MAX, "16777215.9 TiB"),
    ] {
        assert_eq!(size(bytes), expected);
    }
}

#[test]
fn a_text_is_cut_by_columns_and_never_through_a_character() {
    for (text, columns, expected) in [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("構文", 4, "構文"),
        ("構文", 3, "構…"),
        ("構文", 2, "…"),
        ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
        ("👩‍💻👩‍💻", 3, "👩‍💻…"),
        ("abc", 0, ""),
    ] {
        assert_eq!(cut(text, columns), expected, "{text} in {columns}");
        assert!(width(&cut(text, columns)) <= columns);
    }
}

#[test]
fn words_stay_whole_where_they_fit() {
    assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
    assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
    assert_eq!(wrap("", 4), [""]);
    assert_eq!(fold("a bc def", 4), ["a bc", " def"]);
    assert_eq!(fold("構", 1), ["構"]);
}

#[test]
fn tabs_reach_the_next_stop() {
    assert_eq!(expand_tabs("a\tb"), "a       b");
    assert_eq!(expand_tabs("構文\t\tb"), "構文            b");
    assert_eq!(harmless("a\tb"), "a\tb");
}
