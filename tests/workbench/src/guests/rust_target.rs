//! Makes Rust's `wasm32-wasip1` target available, by the first way that works.
//!
//! 1. The toolchain has it. 2. Our cache has one that was made from Debian's packages. 3. `rustup
//! target add`, which is what a person would do. 4. Debian's packages ([`debian`]).
//!
//! Deliberately absent: `wasm32-wasip2`. Its components are made by linking the same objects with
//! `wasm-component-ld`, which every rustup toolchain ships and which holds the adapter.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::host::{Host, Tool};

mod debian;

/// The one target that guests are built for.
pub(crate) const TARGET: &str = "wasm32-wasip1";

/// rustup gives up sooner when nothing answers; a slow line needs a minute for 20 MB.
const RUSTUP_LIMIT: Duration = Duration::from_mins(5);

/// A compiler that can build for [`TARGET`].
#[derive(Clone, Debug)]
pub(super) struct RustTarget {
    /// What cargo must be told.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// The linker that makes components, and its arguments; none where the toolchain lacks it.
    pub(super) component_linker: Option<ComponentLinker>,
    /// Changes when the compiler does.
    pub(super) identity: String,
    /// For people: which way it was.
    pub(super) origin: &'static str,
}

/// `wasm-component-ld`, and the linker that it calls in turn.
#[derive(Clone, Debug)]
pub(super) struct ComponentLinker {
    pub(super) program: PathBuf,
    pub(super) wasm_ld: PathBuf,
}

/// Which ways may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The first that works.
    Any,
    /// Debian's packages only: for testing that way on a host where rustup would do.
    DebianOnly,
}

/// The toolchain that rust-toolchain.toml names, as rustup installed it.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// What `rustc -vV` says.
    pub(crate) version: String,
    pub(crate) sysroot: PathBuf,
    /// The host's own target triple.
    pub(crate) triple: String,
}

impl Toolchain {
    fn of(host: &Host) -> Result<Self> {
        let rustc =
            |arguments: &[&str]| Tool::new("rustc").args(arguments).dir(&host.root).output();
        let version = rustc(&["-vV"])?;
        let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(Self {
            triple: triple.context("rustc -vV names no host")?.to_owned(),
            sysroot: PathBuf::from(rustc(&["--print", "sysroot"])?.trim()),
            version,
        })
    }

    /// The toolchain with [`TARGET`] of its own, which rustup adds if need be.
    ///
    /// Debian's packages will not do here: theirs is a second compiler.
    pub(crate) fn with_target(host: &Host) -> Result<Self> {
        let toolchain = Self::of(host)?;
        if !toolchain.has_target() {
            add_by_rustup(host, &toolchain)
                .with_context(|| format!("the toolchain has no {TARGET}"))?;
        }
        Ok(toolchain)
    }

    /// `1.95.0`
    pub(crate) fn release(&self) -> Result<&str> {
        self.version
            .lines()
            .find_map(|line| line.strip_prefix("release: "))
            .context("rustc -vV names no release")
    }

    fn has_target(&self) -> bool {
        let libraries = self.sysroot.join("lib/rustlib").join(TARGET).join("lib");
        let is_std = |path: &Path| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.starts_with("libstd-") && path.extension() == Some("rlib".as_ref())
        };
        fs::read_dir(libraries)
            .is_ok_and(|entries| entries.flatten().any(|entry| is_std(&entry.path())))
    }

    fn tool(&self, name: &str) -> Option<PathBuf> {
        let path = self
            .sysroot
            .join("lib/rustlib")
            .join(&self.triple)
            .join("bin")
            .join(name);
        path.exists().then_some(path)
    }

    fn component_linker(&self) -> Option<ComponentLinker> {
        let program = self.tool("wasm-component-ld")?;
        Some(ComponentLinker {
            program,
            wasm_ld: self.tool("gcc-ld/wasm-ld")?,
        })
    }

    fn with_its_own_target(&self, origin: &'static str) -> RustTarget {
        RustTarget {
            variables: Vec::new(),
            component_linker: self.component_linker(),
            identity: self.version.clone(),
            origin,
        }
    }

    fn with_sysroot(&self, sysroot: &Path) -> Result<RustTarget> {
        let linker = self
            .tool("rust-lld")
            .context("the toolchain has no rust-lld")?;
        let rustc = debian::rustc(sysroot);
        Ok(RustTarget {
            identity: Tool::new(&rustc).arg("-vV").output()?,
            variables: vec![
                ("RUSTC".into(), rustc.into()),
                ("CARGO_TARGET_WASM32_WASIP1_LINKER".into(), linker.into()),
            ],
            component_linker: self.component_linker(),
            origin: "from Debian's packages",
        })
    }
}

/// Makes the target available. An error says what was tried, and why each way failed.
pub(super) fn prepare(host: &Host, route: Route) -> Result<RustTarget> {
    let toolchain = Toolchain::of(host)?;
    if route == Route::Any && toolchain.has_target() {
        return Ok(toolchain.with_its_own_target("of the toolchain"));
    }
    if let Some(sysroot) = debian::find(host) {
        return toolchain.with_sysroot(&sysroot);
    }
    let by_rustup = match route {
        Route::Any => add_by_rustup(host, &toolchain),
        Route::DebianOnly => Err(anyhow::anyhow!("not tried")),
    };
    let Err(rustup_error) = by_rustup else {
        return Ok(toolchain.with_its_own_target("added by rustup"));
    };
    let sysroot = debian::make(host)
        .with_context(|| format!("no {TARGET}: rustup: {rustup_error:#}; Debian's packages"))?;
    toolchain.with_sysroot(&sysroot)
}

fn add_by_rustup(host: &Host, toolchain: &Toolchain) -> Result<()> {
    Tool::new("rustup")
        .args(["target", "add", TARGET])
        .dir(&host.root)
        .limit(RUSTUP_LIMIT)
        .output()?;
    if !toolchain.has_target() {
        bail!(
            "rustup added {TARGET}, but it is not in {}",
            toolchain.sysroot.display()
        );
    }
    Ok(())
}
