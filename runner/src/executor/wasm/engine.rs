//! The one configuration of wasmtime, for the process that compiles and the process that runs: they must
//! be equal in all that shapes native code, or nothing loads.
//!
//! There is no epoch and no fuel in it. A guest runs alone in its process, and the runner ends that
//! process when its time is over or somebody cancels it, whatever it is doing at that moment: a loop, a
//! blocked read, a sleep. So the guest pays nothing for being interruptible.

use std::hash::{Hash as _, Hasher};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::{Collector, Config, CustomCodeMemory, Engine, InstanceAllocationStrategy};

/// Deepest call stack of a guest, in bytes. Twice wasmtime's own default, because interpreters recurse;
/// what is deeper is a trap.
const STACK_BYTES_MAX: usize = 1024 * 1024;

/// The stack that host functions share with the guest's, in bytes: they need less than the other half.
const FIBER_BYTES: usize = 2 * STACK_BYTES_MAX;

/// Part of every cache key: raise it when the meaning of an entry changes.
const CACHE_VERSION: u32 = 1;

/// What a process does with the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Turns modules into native code.
    Compile,
    /// Runs native code. The compiler is switched off.
    Run,
}

/// Makes the engine.
pub(super) fn engine(purpose: Purpose) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        // Not asked for by anything that runs in one thread, and each one is attack surface. Threads are
        // not even compiled into wasmtime here.
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_gc(false)
        // C++ as it is compiled today throws WebAssembly exceptions, and those live on a collected heap.
        .wasm_exceptions(true)
        .collector(Collector::DeferredReferenceCounting)
        // Multi-memory stays on: without it, adapters between composed components do not compile.
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(FIBER_BYTES)
        .memory_init_cow(true)
        .native_unwind_info(false)
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .enable_compiler(purpose == Purpose::Compile);
    if purpose == Purpose::Compile {
        config.with_custom_code_memory(Some(Arc::new(NeverExecuted)));
    }
    Engine::new(&config)
}

/// A compiler looks at what it made, but executes nothing of it; so none of it need be executable, and
/// the system call filter of its process need not allow that.
struct NeverExecuted;

impl CustomCodeMemory for NeverExecuted {
    fn required_alignment(&self) -> usize {
        1
    }

    fn publish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }

    fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// What native code depends on beside the module: this version of wasmtime, its configuration and the
/// host's processor. Modules compiled under another fingerprint are not used.
pub(super) fn fingerprint() -> wasmtime::Result<[u8; 32]> {
    let mut hasher = Fingerprint(Sha256::new());
    CACHE_VERSION.hash(&mut hasher);
    engine(Purpose::Compile)?
        .precompile_compatibility_hash()
        .hash(&mut hasher);
    Ok(hasher.0.finalize().into())
}

struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Only the full digest is used; `Hash` implementations do not call this.
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_from_the_compiling_engine_loads_in_the_running_one() {
        let wasm = wat::parse_str("(module (func (export \"_start\")))").unwrap();
        let native = engine(Purpose::Compile)
            .unwrap()
            .precompile_module(&wasm)
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("native");
        std::fs::write(&path, native).unwrap();
        let engine = engine(Purpose::Run).unwrap();
        super::super::inside::load_core(&engine, &path).unwrap();
    }

    #[test]
    fn the_fingerprint_is_the_same_every_time() {
        assert_eq!(fingerprint().unwrap(), fingerprint().unwrap());
    }
}
