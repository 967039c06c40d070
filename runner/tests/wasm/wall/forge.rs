//! A forged entry of the module cache: native code that the compiler never made, under the name of a
//! module that it did make. This is what an attacker has who found a hole in wasmtime, without the hole.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::super::stand::Stand;

/// Constants that the module stores, one after the other: their code is the room for a payload.
const CONSTANTS: u64 = 5000;

/// The first of them. Nothing else looks like it.
const MARK: u64 = 0xc0ff_e7da_0000_0001;

/// A module and what the cache has of it.
pub(super) struct Forge {
    /// The module whose entry is forged.
    pub(super) wasm: Vec<u8>,
    /// The directory of the cache.
    pub(super) cache: PathBuf,
    native: Vec<u8>,
    /// Where its first constant is loaded, and where its last one is.
    room: (usize, usize),
}

impl Forge {
    /// Lets the program compile the module.
    pub(super) fn new(stand: &Stand) -> Self {
        let wasm = module();
        let did = stand.run(&wasm, &[], &[]);
        assert_eq!(did.end(), "0 exit", "{}", did.stderr);
        let path = only(&stand.path("cache"), "native");
        let native = std::fs::read(&path).unwrap();
        let position = |constant: u64| {
            let bytes = constant.to_le_bytes();
            let found = native.windows(8).position(|window| window == bytes);
            found.expect("a constant of the module in its native code")
        };
        // Two bytes before the constant begins the instruction that loads it.
        let room = (position(MARK) - 2, position(MARK + CONSTANTS - 1));
        Self {
            wasm,
            cache: path.parent().unwrap().to_owned(),
            native,
            room,
        }
    }

    /// Puts machine code where the module's own was, and makes the entry look sound.
    pub(super) fn put(&self, machine_code: &[u8]) {
        let (start, end) = self.room;
        assert!(start + machine_code.len() < end, "there is room");
        let mut native = self.native.clone();
        native[start..start + machine_code.len()].copy_from_slice(machine_code);
        let index_path = only(&self.cache, "json");
        let mut index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&index_path).unwrap()).unwrap();
        let sha256 = HEXLOWER.encode(&Sha256::digest(&native));
        let old = only(&self.cache, "native");
        // Written in place, so that it keeps its owner.
        std::fs::write(&old, &native).unwrap();
        std::fs::rename(&old, self.cache.join(format!("{sha256}.native"))).unwrap();
        index["sha256"] = sha256.into();
        std::fs::write(&index_path, index.to_string()).unwrap();
    }
}

fn module() -> Vec<u8> {
    let mut body = String::new();
    for index in 0..CONSTANTS {
        let constant = MARK + index;
        write!(
            body,
            "(i64.store (i32.const {}) (i64.const {constant}))",
            8 * index
        )
        .unwrap();
    }
    let text = format!(r#"(module (memory (export "memory") 1) (func (export "_start") {body}))"#);
    wat::parse_str(text).unwrap()
}

/// The only file with that extension.
fn only(dir: &Path, extension: &str) -> PathBuf {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}
