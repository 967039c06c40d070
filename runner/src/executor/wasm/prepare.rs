//! From a module's bytes to native code that can be run: out of the cache, or by a compiler process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use sha2::{Digest as _, Sha256};
use tokio::io::BufReader;

use super::cache::{Entry, Key, ModuleCache, NewEntry};
use super::link::{CompileReport, Kind, receive, report};
use super::run::{FORBIDDEN_CALL, made_a_forbidden_call};
use super::{MODULE_BYTES_MAX, infrastructure, ours, user};
use crate::executor::ExecutorError;
use crate::process::{Launcher, Mode, Process, describe, one_line};

/// How long a module may take to compile, wall time. One of 70 MB takes about a minute on two cores.
const COMPILE_TIME_MAX: Duration = Duration::from_mins(15);

/// Most native code that a module may become, in bytes: twice what the largest module makes.
const NATIVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A digest as receipts show it.
pub(super) type ModuleDigest = [u8; 32];

/// Prepares modules. One module is compiled once, however many jobs ask for it at the same time.
#[derive(Debug)]
pub(super) struct Preparer {
    cache: ModuleCache,
    fingerprint: [u8; 32],
    compiling: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

impl Preparer {
    /// Prepares into this cache for the engine with this fingerprint.
    pub(super) fn new(cache: ModuleCache, fingerprint: [u8; 32]) -> Self {
        Self {
            cache,
            fingerprint,
            compiling: Mutex::new(BTreeMap::new()),
        }
    }

    /// The native code of a module. Dropping the future ends the compiler.
    pub(super) async fn prepare(
        &self,
        launcher: &Launcher,
        wasm: &[u8],
        digest: &ModuleDigest,
    ) -> Result<Entry, ExecutorError> {
        let key = Key::new(digest, &self.fingerprint);
        if let Some(entry) = self.cache.find(key) {
            return Ok(entry);
        }
        let turn = self.turn(key);
        let _turn = turn.lock().await;
        if let Some(entry) = self.cache.find(key) {
            return Ok(entry);
        }
        let compiled = compile(launcher, wasm, &self.cache);
        let (new, front) = tokio::time::timeout(COMPILE_TIME_MAX, compiled)
            .await
            .map_err(|_| {
                let secs = COMPILE_TIME_MAX.as_secs();
                user(format!("the module takes more than {secs} s to compile"))
            })??;
        // It waits for the disk.
        tokio::task::spawn_blocking(move || new.keep(key, front))
            .await
            .map_err(io::Error::other)
            .and_then(|kept| kept)
            .map_err(|error| infrastructure("compiled code could not be kept", error))
    }

    /// Who compiles a module first, compiles it for all who wait. What nobody waits for is forgotten.
    fn turn(&self, key: Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut compiling = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        compiling.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(compiling.entry(key).or_default())
    }
}

/// The digest of a module, which must not be too large.
pub(super) fn digest(wasm: &[u8]) -> Result<ModuleDigest, ExecutorError> {
    let length = u64::try_from(wasm.len()).unwrap_or(u64::MAX);
    if length > MODULE_BYTES_MAX {
        return Err(user(format!(
            "the module is {length} bytes; at most {MODULE_BYTES_MAX} are possible"
        )));
    }
    Ok(Sha256::digest(wasm).into())
}

async fn compile(
    launcher: &Launcher,
    wasm: &[u8],
    cache: &ModuleCache,
) -> Result<(NewEntry, super::link::Front), ExecutorError> {
    let stdin = in_memory(wasm).map_err(|error| infrastructure("no memory for a module", error))?;
    let mut process = launcher
        .launch(Mode::Compile, stdin.into())
        .await
        .map_err(|error| infrastructure("the compiler could not be started", error))?;
    let mut new = cache
        .begin()
        .map_err(|error| infrastructure("the module cache cannot be written to", error))?;
    let said = receive_all(&mut process, &mut new).await;
    match said {
        Ok(Some(CompileReport::Done(front))) => Ok((new, front)),
        Ok(Some(CompileReport::Refused(why))) => {
            Err(user(format!("the module is refused: {}", one_line(&why))))
        }
        Ok(Some(CompileReport::Broken(why))) => {
            Err(ours(format!("the compiler failed: {}", one_line(&why))))
        }
        Ok(None) => Err(gave_up(&mut process).await),
        Err(error) => Err(infrastructure("the compiler's answer is no use", error)),
    }
}

/// A module that makes the compiler die is not necessarily its author's fault, but only the author can do
/// something about it.
async fn gave_up(process: &mut Process) -> ExecutorError {
    let status = match process.wait().await {
        Ok(ended) if made_a_forbidden_call(ended.status) => {
            return user(format!(
                "the module cannot be compiled: the compiler {FORBIDDEN_CALL}"
            ));
        }
        Ok(ended) => describe(ended.status),
        Err(error) => return infrastructure("the compiler could not be waited for", error),
    };
    user(format!(
        "the module cannot be compiled: the compiler ended with {status}, out of memory or time or by a \
         mistake of its own; it said: {}",
        process.last_words()
    ))
}

async fn receive_all(
    process: &mut Process,
    new: &mut NewEntry,
) -> io::Result<Option<CompileReport>> {
    let mut link = BufReader::new(process.take_link()?);
    let mut bytes = Vec::new();
    let mut native_bytes = 0_u64;
    while let Some(kind) = receive(&mut link, &mut bytes).await? {
        match kind {
            Kind::Native => {
                native_bytes += u64::try_from(bytes.len()).map_err(io::Error::other)?;
                if native_bytes > NATIVE_BYTES_MAX {
                    return Err(io::Error::other("there is too much native code"));
                }
                new.append(&bytes)?;
            }
            Kind::Report => return report(&bytes).map(Some),
            Kind::Stdout | Kind::Stderr => {
                return Err(io::Error::other("a compiler has no output"));
            }
        }
    }
    Ok(None)
}

/// A file that holds the bytes and exists in memory only.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("module", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
