//! The forms in which a secret turns up in logs although nobody meant to hide it: `base64` of a password, a query string,
//! a JSON body, a shell that traces its commands.
//!
//! Deliberately absent: whatever somebody does to a value on purpose.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Shorter values are masked as they are and in no other form: five letters of base64 stand in many a log.
const ENCODED_BYTES_MIN: usize = 8;

/// Letters on a line of base64, as coreutils and OpenSSL wrap it.
const BASE64_LINES: [usize; 2] = [76, 64];

/// The forms of a value beside itself, some of them perhaps twice or like the value.
pub(super) fn of(value: &str) -> Vec<String> {
    if value.len() < ENCODED_BYTES_MIN {
        return Vec::new();
    }
    let mut forms = vec![
        json(value),
        value.replace('\'', r"'\''"),
        percent(value, false, "%20"),
        percent(value, true, "%20"),
        percent(value, true, "+"),
        HEXLOWER.encode(value.as_bytes()),
        HEXUPPER.encode(value.as_bytes()),
    ];
    for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
        forms.extend((0..3).map(|before| base64(value.as_bytes(), before, encoding)));
    }
    let whole = BASE64_NOPAD.encode(value.as_bytes());
    for length in BASE64_LINES
        .into_iter()
        .filter(|length| *length < whole.len())
    {
        let lines = whole.as_bytes().chunks(length);
        forms.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    forms
}

/// The letters of base64 that depend on the value alone, when so many bytes stand before it, modulo three.
fn base64(value: &[u8], before: usize, encoding: &data_encoding::Encoding) -> String {
    const LETTER_BITS: usize = 6;
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(value);
    let letters = encoding.encode(&bytes);
    let (begin, end) = (before * 8, bytes.len() * 8);
    letters[begin.div_ceil(LETTER_BITS)..end / LETTER_BITS].to_owned()
}

/// As it stands between the quotes of JSON.
fn json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As it stands in a URL: all but RFC 3986's unreserved characters as their number.
fn percent(value: &str, is_upper: bool, space: &str) -> String {
    let mut form = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b' ' => form.push_str(space),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                form.push(char::from(byte));
            }
            other => {
                let digits = if is_upper { &HEXUPPER } else { &HEXLOWER };
                form.push('%');
                form.push_str(&digits.encode(&[other]));
            }
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_known_in_the_forms_that_tools_write() {
        let forms = of("pa'ss wörd/\"+&");
        for form in [
            r#"pa'ss wörd/\"+&"#,
            r#"pa'\''ss wörd/"+&"#,
            "pa%27ss%20w%C3%B6rd%2F%22%2B%26",
            "pa%27ss%20w%c3%b6rd%2f%22%2b%26",
            "pa%27ss+w%C3%B6rd%2F%22%2B%26",
            "706127737320",
        ] {
            let is_known = forms.iter().any(|known| known.contains(form));
            assert!(is_known, "{form} is not in {forms:?}");
        }
        assert_eq!(of("pa'ss w"), [""; 0]);
    }

    proptest! {
        #[test]
        fn base64_of_whatever_it_stands_in_holds_one_of_its_forms(
            before in proptest::collection::vec(any::<u8>(), 0..7),
            value in "[ -~é]{8,40}",
            after in proptest::collection::vec(any::<u8>(), 0..7)
        ) {
            let whole = [before.as_slice(), value.as_bytes(), after.as_slice()].concat();
            for encoding in [BASE64, BASE64URL_NOPAD] {
                let text = encoding.encode(&whole);
                let is_found = of(&value).iter().any(|form| text.contains(form.as_str()));
                prop_assert!(is_found, "{}", text);
            }
        }
    }
}
