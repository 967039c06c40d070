//! The guest itself: native code, the WASI host around it, and how it ended.
//!
//! There are two front doors, preview 1 for core modules and preview 2 for components, and one context
//! behind both: the preview 1 host is built on that of preview 2. Every WASI interface is there; what a
//! step was not granted is denied inside: `wasi:http` in `http`, TCP and lookups in `sockets`; UDP has no
//! host of ours, because wasmtime's own makes no socket unless it is told to.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::runtime::Runtime;
use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{Engine, InstancePre, Linker, Module, Store, Trap};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::http::Requests;
use super::limiter::{LimitReached, Limiter};
use super::native::Native;
use super::repeat;
use super::sockets::{self, SocketsView};
use super::stdio::{Input, Output};
use crate::egress::caller::Caller;
use crate::executor::wasm::engine::{Purpose, engine};
use crate::executor::wasm::link::{Front, Kind, Preopen, StepReport, StepSpec, Walls};

/// Most bytes that one call of the guest makes the host copy. A guest that writes a large file in one
/// call is honest; this process holds nobody else.
const HOST_CALL_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Handles of the component model, all together.
const COMPONENT_HANDLES_MAX: usize = 10_000;

/// Host resources (files, streams, timers) at once. Above the limit on open files, which a guest is told
/// about in a way that it can handle.
const HOST_RESOURCES_MAX: usize = 8192;

/// Most random bytes of one call.
const RANDOM_BYTES_MAX: u64 = 1024 * 1024;

/// The names under which core modules import preview 1 and its predecessor.
const CORE_HOSTS: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// What a store holds.
pub(super) struct State {
    wasi: WasiP1Ctx,
    requests: Requests,
    /// `None` for a step that was granted no origin.
    caller: Option<Arc<Caller>>,
    limiter: Limiter,
}

impl State {
    /// A guest that may do nothing, for looking at what a module imports.
    pub(super) fn powerless() -> Self {
        Self {
            wasi: WasiCtxBuilder::new().build_p1(),
            requests: Requests::new(None),
            caller: None,
            limiter: Limiter::new(0),
        }
    }

    fn of(
        link: &Arc<UnixStream>,
        spec: &StepSpec,
        way_out: Option<OwnedFd>,
    ) -> wasmtime::Result<Self> {
        let output = |kind| Output {
            link: Arc::clone(link),
            kind,
        };
        let mut builder = WasiCtxBuilder::new();
        builder
            // The guest is alone here: what blocks it may block the thread.
            .allow_blocking_current_thread(true)
            .args(&spec.arguments)
            .envs(&spec.env)
            .initial_cwd(&spec.working_directory)
            .max_random_size(RANDOM_BYTES_MAX)
            .stdin(Input::default())
            .stdout(output(Kind::Stdout))
            .stderr(output(Kind::Stderr));
        repeat::set(&mut builder, spec.clock, spec.random);
        for preopen in &spec.preopens {
            let (path, _open) = host_path(spec, preopen)?;
            let permissions = if preopen.is_writable {
                FsPerms::ReadWrite
            } else {
                FsPerms::ReadOnly
            };
            builder.preopened_dir(path, &preopen.name, permissions)?;
        }
        let mut wasi = builder.build_p1();
        wasi.ctx().table.set_max_capacity(HOST_RESOURCES_MAX);
        let limiter = Limiter::new(spec.limits.memory_bytes);
        let caller = way_out.map(|way_out| Arc::new(Caller::new(way_out)));
        Ok(Self {
            wasi,
            requests: Requests::new(caller.clone()),
            caller,
            limiter,
        })
    }

    pub(super) fn sockets(&mut self) -> SocketsView<'_> {
        SocketsView {
            table: self.wasi.ctx().table,
            caller: self.caller.as_ref(),
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Requests { context, hooks } = &mut self.requests;
        WasiHttpCtxView {
            hooks,
            table: self.wasi.ctx().table,
            ctx: context,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

/// Where a preopened directory is for this process, and a handle that keeps it there.
fn host_path(spec: &StepSpec, preopen: &Preopen) -> std::io::Result<(PathBuf, Option<OwnedFd>)> {
    use crate::executor::wasm::link::MountWhat;
    use std::os::fd::AsRawFd as _;
    if spec.walls == Walls::Tree {
        return Ok((Path::new("/").join(&preopen.at), None));
    }
    let granted = spec.mounts.iter().find(|mount| mount.at == preopen.at);
    let Some(MountWhat::Granted { host, .. }) = granted.map(|mount| &mount.what) else {
        return Err(std::io::Error::other("a preopen without a grant"));
    };
    let open = host.open()?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    Ok((path, Some(open)))
}

/// What is the same for every guest.
struct Host {
    engine: Engine,
    core: Linker<State>,
    component: ComponentLinker<State>,
}

/// Made in the zygote, so that a step process finds it. Nothing in it may depend on chance: every step has the
/// same.
static HOST: OnceLock<Host> = OnceLock::new();

impl Host {
    fn make() -> wasmtime::Result<Self> {
        let engine = engine(Purpose::Run)?;
        let core = core_linker(&engine)?;
        let component = component_linker(&engine)?;
        Ok(Self {
            engine,
            core,
            component,
        })
    }

    fn get() -> wasmtime::Result<&'static Self> {
        match HOST.get() {
            Some(host) => Ok(host),
            None => Self::make().map(|host| HOST.get_or_init(|| host)),
        }
    }
}

/// Makes what is the same for every guest. Where that fails, the first guest hears why.
pub(super) fn warm_up() {
    let _made = Host::get();
}

/// All threads that a step will ever have: when the filter stands, it can make no more. One worker beside
/// the guest fires timers while it computes, and one stands by for what blocks.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        // For ever, as far as a step is concerned.
        .thread_keep_alive(std::time::Duration::from_hours(24 * 365))
        .enable_all()
        .build()?;
    // It is made when it is first needed, so it is needed now.
    runtime
        .block_on(runtime.spawn_blocking(|| ()))
        .map_err(std::io::Error::other)?;
    Ok(runtime)
}

/// What was handed to this process beside the spec.
pub(super) struct Handles {
    /// The native code.
    pub native: Native,
    /// The way to the egress broker, if the step was granted any origin.
    pub way_out: Option<OwnedFd>,
}

/// A guest that is ready to run.
pub(super) struct Prepared {
    store: Store<State>,
    code: Code,
}

enum Code {
    Core(InstancePre<State>),
    Component(CommandPre<State>),
}

impl Prepared {
    /// Loads the native code and builds the host around it.
    pub(super) fn load(
        link: &UnixStream,
        spec: &StepSpec,
        Handles { native, way_out }: Handles,
    ) -> wasmtime::Result<Self> {
        let Host {
            engine,
            core,
            component,
        } = Host::get()?;
        let state = State::of(&Arc::new(link.try_clone()?), spec, way_out)?;
        let code = native.load(|path| match spec.front {
            Front::Core => {
                let module = load_core(engine, path)?;
                Ok(Code::Core(core.instantiate_pre(&module)?))
            }
            Front::Component => {
                let code = load_component(engine, path)?;
                let pre = component.instantiate_pre(&code)?;
                Ok(Code::Component(CommandPre::new(pre)?))
            }
        })?;
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        store.set_max_component_handles(COMPONENT_HANDLES_MAX);
        Ok(Self { store, code })
    }

    /// Runs it to its end, in the threads of this runtime.
    pub(super) fn run(self, runtime: Runtime) -> StepReport {
        let report = runtime.block_on(self.run_to_end());
        runtime.shutdown_background();
        report
    }

    async fn run_to_end(mut self) -> StepReport {
        let store = &mut self.store;
        let ended = match &self.code {
            Code::Core(pre) => match pre.instantiate_async(&mut *store).await {
                Ok(instance) => match instance.get_typed_func::<(), ()>(&mut *store, "_start") {
                    Ok(start) => start.call_async(&mut *store, ()).await.map(|()| 0),
                    Err(error) => return StepReport::Unrunnable(format!("{error:#}")),
                },
                Err(error) => return not_started(&error),
            },
            Code::Component(pre) => match pre.instantiate_async(&mut *store).await {
                Ok(command) => command
                    .wasi_cli_run()
                    .call_run(&mut *store)
                    .await
                    .map(|said| u8::from(said.is_err())),
                Err(error) => return not_started(&error),
            },
        };
        ended.map_or_else(|error| how_it_ended(&error), StepReport::Exit)
    }
}

/// What stopped a guest before its first instruction. A start function may already have run.
fn not_started(error: &wasmtime::Error) -> StepReport {
    let is_its_own_end = error.is::<I32Exit>() || error.is::<LimitReached>() || error.is::<Trap>();
    if is_its_own_end {
        how_it_ended(error)
    } else {
        StepReport::Unrunnable(format!("it cannot be instantiated: {error:#}"))
    }
}

fn how_it_ended(error: &wasmtime::Error) -> StepReport {
    if let Some(I32Exit(status)) = error.downcast_ref() {
        // As POSIX does: the low byte.
        let [low, ..] = status.to_le_bytes();
        StepReport::Exit(low)
    } else if let Some(LimitReached { name, allowed }) = error.downcast_ref() {
        StepReport::Limit {
            name: (*name).to_owned(),
            allowed: *allowed,
        }
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        let text = trap.to_string();
        StepReport::Trap(text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned())
    } else {
        StepReport::Trap(error.root_cause().to_string())
    }
}

/// The preview 1 host, and preview 0, whose exit status is a whole byte: wasmtime's own refuses 126 and
/// above.
pub(super) fn core_linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi)?;
    wasmtime_wasi::p0::add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi)?;
    linker.allow_shadowing(true);
    for host in CORE_HOSTS {
        linker.func_wrap(host, "proc_exit", |status: i32| -> wasmtime::Result<()> {
            Err(I32Exit(status).into())
        })?;
    }
    Ok(linker)
}

/// The preview 2 host.
pub(super) fn component_linker(engine: &Engine) -> wasmtime::Result<ComponentLinker<State>> {
    let mut linker = ComponentLinker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Loads a core module's native code.
#[expect(unsafe_code, reason = "native code is trusted by whoever loads it")]
pub(in crate::executor::wasm) fn load_core(
    engine: &Engine,
    path: &Path,
) -> wasmtime::Result<Module> {
    // SAFETY: the runner's own compiler process made this code, and the runner checked that it is what was
    // written; it comes in a file in memory that is sealed, so that nobody can write to it.
    unsafe { Module::deserialize_file(engine, path) }
}

#[expect(unsafe_code, reason = "native code is trusted by whoever loads it")]
fn load_component(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: as for core modules.
    unsafe { Component::deserialize_file(engine, path) }
}
