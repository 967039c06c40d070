//! Text from outside, made fit for people: one line, bounded, with nothing in it that a terminal obeys.

use cofferdam_protocol::limits::TEXT_BYTES_MAX;

/// Text from outside, harmless for a terminal and for one line: control characters are escaped.
pub fn printable(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || is_deceptive(char) {
            harmless.extend(char.escape_unicode());
        } else {
            harmless.push(char);
        }
    }
    harmless
}

/// Characters that make text look like other text: they reorder it (Unicode UAX #9, "trojan source"), break its line,
/// have no width, or are the block elements with which a line of ours begins.
fn is_deceptive(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2580}'..='\u{259f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// An error and its causes, on one line, harmless and within the wire's bound.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    sentence(&text)
}

/// Text from outside, harmless and at most [`TEXT_BYTES_MAX`] bytes; what is cut is marked.
pub fn sentence(text: &str) -> String {
    let mut text = printable(text);
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (text, expected) in [
            ("naïve ✓", "naïve ✓"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\nb", "a\\u{d}\\u{a}b"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("▌ passed", "\\u{258c} passed"),
            ("pay\u{200b}pal\u{61c}", "pay\\u{200b}pal\\u{61c}"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_marked() {
        let cut = sentence(&"é".repeat(TEXT_BYTES_MAX));
        assert!(
            cut.len() <= TEXT_BYTES_MAX && cut.ends_with('…'),
            "{} bytes",
            cut.len()
        );
    }
}
