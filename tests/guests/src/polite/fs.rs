//! `fs VERB PATH [ARGUMENT]`: one file operation per run, for tests that ask what a step may touch.
//!
//! Success is exit 0. A refused or failed operation is exit 1 with one line on standard
//! error: `fs: VERB PATH: KIND: MESSAGE`, where KIND is `std::io::ErrorKind`'s name, so that
//! a test can tell "not found" from "permission denied". Wrong usage is exit 2.

use std::ffi::{CString, c_char, c_int};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};

const USAGE: &str = "usage: fs read|list|stat|mkdir|remove|rmdir PATH
       fs write|append PATH TEXT
       fs write-below DIRECTORY PATH TEXT
       fs truncate PATH LENGTH
       fs link|rename FROM TO
       fs symlink TARGET LINK";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(result) = perform(&words) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    if let Err(error) = result {
        eprintln!("fs: {} {}: {:?}: {error}", words[0], words[1], error.kind());
        std::process::exit(1);
    }
}

/// Does what the words say; `None` when they say nothing that this tool knows.
fn perform(words: &[&str]) -> Option<io::Result<()>> {
    Some(match *words {
        ["read", path] => read(path),
        ["list", path] => list(path),
        ["stat", path] => stat(path),
        ["mkdir", path] => fs::create_dir(path),
        ["remove", path] => fs::remove_file(path),
        ["rmdir", path] => fs::remove_dir(path),
        ["write", path, text] => fs::write(path, text),
        ["write-below", directory, path, text] => {
            fs::create_dir(directory).and_then(|()| fs::write(path, text))
        }
        ["append", path, text] => append(path, text),
        ["truncate", path, length] => truncate(path, length.parse().ok()?),
        ["link", from, to] => make_link(from, to),
        ["rename", from, to] => fs::rename(from, to),
        ["symlink", target, link] => make_symlink(target, link),
        _ => return None,
    })
}

fn read(path: &str) -> io::Result<()> {
    let mut content = Vec::new();
    File::open(path)?.read_to_end(&mut content)?;
    io::stdout().write_all(&content)
}

/// One line per entry, sorted: its kind, then its name.
fn list(path: &str) -> io::Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        lines.push(format!(
            "{} {}",
            kind(entry.file_type()?),
            entry.file_name().display()
        ));
    }
    lines.sort();
    let mut out = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Looks at the entry itself, not at what a symbolic link points to.
fn stat(path: &str) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    writeln!(
        io::stdout(),
        "{} {} bytes",
        kind(metadata.file_type()),
        metadata.len()
    )
}

fn kind(file_type: fs::FileType) -> &'static str {
    if file_type.is_dir() {
        "dir"
    } else if file_type.is_file() {
        "file"
    } else if file_type.is_symlink() {
        "link"
    } else {
        "other"
    }
}

fn append(path: &str, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .open(path)?
        .write_all(text.as_bytes())
}

fn truncate(path: &str, length: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(length)
}

/// Both go through wasi-libc: std's own `symlink_path` is not stable, and its `hard_link`
/// passes `AT_FDCWD`, which older releases of wasi-libc do not resolve.
fn make_symlink(target: &str, link: &str) -> io::Result<()> {
    unsafe extern "C" {
        fn symlink(target: *const c_char, link: *const c_char) -> c_int;
    }
    let (target, link) = (CString::new(target)?, CString::new(link)?);
    // SAFETY: both pointers are NUL-terminated strings that outlive the call.
    status(unsafe { symlink(target.as_ptr(), link.as_ptr()) })
}

fn make_link(from: &str, to: &str) -> io::Result<()> {
    unsafe extern "C" {
        fn link(from: *const c_char, to: *const c_char) -> c_int;
    }
    let (from, to) = (CString::new(from)?, CString::new(to)?);
    // SAFETY: both pointers are NUL-terminated strings that outlive the call.
    status(unsafe { link(from.as_ptr(), to.as_ptr()) })
}

fn status(code: c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
