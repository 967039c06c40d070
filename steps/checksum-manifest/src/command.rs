//! The command line: from arguments to a verdict.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cofferdam_guest_sdk::Verdict;

use crate::manifest::{self, MANIFEST_BYTES_MAX, Manifest};
use crate::{digest, walk};

const USAGE: &str = "usage: checksum-manifest DIR... --output FILE
       checksum-manifest --check FILE [DIR...]

Writes the SHA-256 of every regular file below each DIR to FILE, sorted, in the
form that sha256sum reads. With --check it reads FILE and compares: a listed
file that is missing or different fails, and so does a file below a DIR that is
not listed. Symbolic links are neither followed nor listed.

exit code: 0 written, or all as listed; 1 something differs; 2 could not run
";

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Help,
    Write {
        directories: Vec<PathBuf>,
        output: PathBuf,
    },
    Check {
        directories: Vec<PathBuf>,
        list: PathBuf,
    },
}

/// Runs the step. Findings go to `out`, everything else that it has to say to `complaints`.
pub fn run(arguments: &[OsString], out: &mut dyn Write, complaints: &mut dyn Write) -> Verdict {
    let result = match parse(arguments) {
        Ok(Request::Help) => out
            .write_all(USAGE.as_bytes())
            .map(|()| Verdict::Passed)
            .map_err(Into::into),
        Ok(Request::Write {
            directories,
            output,
        }) => write(&directories, &output, out),
        Ok(Request::Check { directories, list }) => check(&directories, &list, out),
        Err(message) => Err(format!("{message}\n{USAGE}").into()),
    };
    result.unwrap_or_else(|error| {
        // Nobody is left to tell when standard error itself is gone; the exit code still speaks.
        drop(complain(complaints, &*error));
        Verdict::CouldNotRun
    })
}

fn complain(complaints: &mut dyn Write, error: &dyn Error) -> io::Result<()> {
    write!(complaints, "checksum-manifest: {error}")?;
    let mut cause = error.source();
    while let Some(source) = cause {
        write!(complaints, ": {source}")?;
        cause = source.source();
    }
    writeln!(complaints)
}

fn parse(arguments: &[OsString]) -> Result<Request, String> {
    let (mut directories, mut output, mut list) = (Vec::new(), None, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let slot = match argument.to_str() {
            Some("--help" | "-h") => return Ok(Request::Help),
            Some("--output") => &mut output,
            Some("--check") => &mut list,
            Some(option) if option.starts_with('-') => {
                return Err(format!("unknown option {option}"));
            }
            _ => {
                directories.push(PathBuf::from(argument));
                continue;
            }
        };
        let value = rest.next().ok_or("an option lacks its file")?;
        if slot.replace(PathBuf::from(value)).is_some() {
            return Err("an option is given twice".to_owned());
        }
    }
    match (output, list) {
        (Some(output), None) if !directories.is_empty() => Ok(Request::Write {
            directories,
            output,
        }),
        (None, Some(list)) => Ok(Request::Check { directories, list }),
        (Some(_), None) => Err("no directory to read".to_owned()),
        _ => Err("one of --output and --check is needed".to_owned()),
    }
}

fn write(
    directories: &[PathBuf],
    output: &Path,
    out: &mut dyn Write,
) -> Result<Verdict, Box<dyn Error>> {
    let found = walk::files_below(directories)?;
    let own = walk::written(output)?;
    let mut listed = Manifest::new();
    // The list cannot hold its own digest, so a list from an earlier run is left out.
    for path in found.files.into_iter().filter(|path| *path != own) {
        let digest =
            digest::of_file(Path::new(&path)).map_err(|source| unreadable(&path, source))?;
        listed.insert(path, digest);
    }
    replace(output, &manifest::render(&listed)).map_err(|source| unwritable(&own, &source))?;
    writeln!(
        out,
        "{} files listed in {own}; {} links and special files left out",
        listed.len(),
        found.left_out
    )?;
    Ok(Verdict::Passed)
}

/// Written beside and renamed, so that a reader never sees half a manifest. The file beside is
/// made anew: a link that a hostile checkout left under its name is removed, not written through.
fn replace(output: &Path, text: &str) -> io::Result<()> {
    let unfinished = output.with_added_extension("unfinished");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => File::create_new(&unfinished)?.write_all(text.as_bytes())?,
    }
    fs::rename(&unfinished, output)
}

fn check(
    directories: &[PathBuf],
    list: &Path,
    out: &mut dyn Write,
) -> Result<Verdict, Box<dyn Error>> {
    let own = walk::written(list)?;
    let listed =
        manifest::parse(&read_bounded(list)?).map_err(|error| format!("{own}: {error}"))?;
    let mut differences = 0_usize;
    for (path, expected) in &listed {
        let answer = compare(Path::new(path), expected);
        if let Some(what) = answer {
            differences += 1;
            writeln!(out, "{}: {what}", path.escape_debug())?;
        }
    }
    let known: BTreeSet<&String> = listed.keys().collect();
    for path in walk::files_below(directories)?.files {
        if !known.contains(&path) && path != own {
            differences += 1;
            writeln!(out, "{}: not listed", path.escape_debug())?;
        }
    }
    writeln!(out, "{} files checked, {differences} differ", listed.len())?;
    Ok(Verdict::passed_if(differences == 0))
}

/// `None` when the file is as listed, else what is the matter.
fn compare(path: &Path, expected: &str) -> Option<String> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some("missing".to_owned()),
        Err(error) => return Some(format!("cannot be read: {error}")),
        // Opened, a FIFO would wait for a writer for ever.
        Ok(metadata) if !metadata.is_file() => return Some("not a regular file".to_owned()),
        Ok(_) => {}
    }
    match digest::of_file(path) {
        Ok(digest) if digest == expected => None,
        Ok(_) => Some("different".to_owned()),
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

fn read_bounded(path: &Path) -> Result<String, Box<dyn Error>> {
    let name = path.display().to_string();
    let mut text = String::new();
    let file = File::open(path).map_err(|source| unreadable(&name, source))?;
    file.take(MANIFEST_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|source| unreadable(&name, source))?;
    if text.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(format!("{name} is larger than {MANIFEST_BYTES_MAX} bytes").into());
    }
    Ok(text)
}

fn unreadable(path: &str, source: io::Error) -> walk::WalkError {
    walk::WalkError::Unreadable {
        path: PathBuf::from(path),
        source,
    }
}

fn unwritable(path: &str, source: &io::Error) -> Box<dyn Error> {
    format!("cannot write {path}: {source}").into()
}

#[cfg(test)]
mod tests;
