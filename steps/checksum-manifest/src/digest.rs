//! One file's SHA-256, read in pieces so that a file's size does not matter.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// One read; large enough that the host calls do not dominate, small beside any memory limit.
const PIECE_BYTES: usize = 64 << 10;

/// The digest of a regular file as 64 lower-case hexadecimal digits.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&piece[..length]);
    }
}

/// The digest of bytes in memory, written like [`of_file`]'s.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
}
