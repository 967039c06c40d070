//! `flood BYTES [LINE]`: writes that many bytes to standard output as fast as it can.
//!
//! LINE is the length of a line with its newline, 100 by default; 0 means no newline at all.
//! Every line starts with its number, so that a reader can see a lost or doubled one.

use std::io::{self, BufWriter, Write};

fn main() -> io::Result<()> {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().ok());
    let (Some(Some(mut left)), line) = (numbers.next(), numbers.next().flatten()) else {
        eprintln!("usage: flood BYTES [LINE]");
        std::process::exit(2);
    };
    let line = usize::try_from(line.unwrap_or(100)).unwrap_or(100);
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut number = 0_u64;
    while left > 0 {
        let text = one_line(number, line);
        let length = left.min(text.len() as u64);
        out.write_all(&text[..usize::try_from(length).unwrap_or(text.len())])?;
        left -= length;
        number += 1;
    }
    out.flush()
}

fn one_line(number: u64, length: usize) -> Vec<u8> {
    if length == 0 {
        return vec![b'x'; 4096];
    }
    let mut text = format!("{number:08} ").into_bytes();
    text.resize(length.max(text.len() + 1) - 1, b'x');
    text.push(b'\n');
    text
}
