//! The receipt on disk: begun before the step, so that a place that cannot be written to is found out in
//! time, and there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

/// A receipt that is not written yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct ReceiptFile {
    file: File,
    path: PathBuf,
    /// Becomes `path`; `None` where that is no file but a pipe, a terminal or a device.
    new: Option<PathBuf>,
}

impl ReceiptFile {
    /// Begins it.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let is_special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        if is_special {
            return Ok(Self {
                file: OpenOptions::new().write(true).open(path)?,
                path: path.to_owned(),
                new: None,
            });
        }
        let mut suffix = [0; 6];
        getrandom::fill(&mut suffix).map_err(io::Error::other)?;
        let mut name = path
            .file_name()
            .ok_or_else(|| io::Error::other("it has no file name"))?
            .to_owned();
        name.push(format!(".{}.new", HEXLOWER.encode(&suffix)));
        let new = path.with_file_name(name);
        Ok(Self {
            file: OpenOptions::new().write(true).create_new(true).open(&new)?,
            path: path.to_owned(),
            new: Some(new),
        })
    }

    /// Writes it and puts it in its place.
    pub(super) fn keep(mut self, json: &serde_json::Value) -> io::Result<()> {
        self.file.write_all(format!("{json:#}\n").as_bytes())?;
        match self.new.take() {
            Some(new) => fs::rename(new, &self.path),
            None => Ok(()),
        }
    }
}

impl Drop for ReceiptFile {
    fn drop(&mut self) {
        if let Some(new) = &self.new {
            // There is nothing more to be done about it.
            let _left_over = fs::remove_file(new);
        }
    }
}
