//! The compiler process: a module's bytes in by standard input, native code out by the socket.
//!
//! It is the only place that parses modules. What it refuses, it refuses with a reason that the module's
//! author can use.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;

use wasmparser::{Parser, Payload};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime::{Engine, Module, Store};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::guest::{State, component_linker, core_linker};
use crate::executor::wasm::MODULE_BYTES_MAX;
use crate::executor::wasm::engine::{Purpose, engine};
use crate::executor::wasm::link::{CompileReport, Front, Kind, send};

/// Imports that a refusal names; more would not be read.
const NAMES_SHOWN_MAX: usize = 10;

/// The interfaces of preview 2 that the host has.
const HOST_PACKAGES: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

enum Failure {
    Refused(String),
    Broken(String),
}

fn refused(what: &str) -> impl Fn(wasmtime::Error) -> Failure {
    move |error| Failure::Refused(format!("{what}: {error:#}"))
}

/// Compiles what standard input holds and sends the native code.
pub(super) fn compile(link: &UnixStream) -> CompileReport {
    let done = read_module()
        .and_then(|wasm| compile_bytes(&wasm))
        .and_then(|(front, native)| {
            send(link, Kind::Native, &native)
                .map(|()| front)
                .map_err(|error| Failure::Broken(format!("the runner does not listen: {error}")))
        });
    match done {
        Ok(front) => CompileReport::Done(front),
        Err(Failure::Refused(why)) => CompileReport::Refused(why),
        Err(Failure::Broken(why)) => CompileReport::Broken(why),
    }
}

fn read_module() -> Result<Vec<u8>, Failure> {
    let mut wasm = Vec::new();
    io::stdin()
        .take(MODULE_BYTES_MAX)
        .read_to_end(&mut wasm)
        .map_err(|error| Failure::Broken(format!("the module cannot be read: {error}")))?;
    Ok(wasm)
}

fn compile_bytes(wasm: &[u8]) -> Result<(Front, Vec<u8>), Failure> {
    let front = sniff(wasm).map_err(Failure::Refused)?;
    let engine = engine(Purpose::Compile)
        .map_err(|error| Failure::Broken(format!("no compiler: {error:#}")))?;
    let native = match front {
        Front::Core => compile_core(&engine, wasm)?,
        Front::Component => compile_component(&engine, wasm)?,
    };
    Ok((front, native))
}

/// Which front door the bytes may knock at.
fn sniff(wasm: &[u8]) -> Result<Front, String> {
    if Engine::detect_precompiled(wasm).is_some() {
        return Err(
            "it is precompiled native code, which is never accepted: give the WebAssembly module itself"
                .to_owned(),
        );
    }
    if Parser::is_component(wasm) {
        return Ok(Front::Component);
    }
    if !Parser::is_core_wasm(wasm) {
        return Err(not_wasm(wasm));
    }
    match component_type(wasm) {
        Some(section) => Err(format!(
            "it is a core module with a `{section}` section, which wants to become a component; that is \
             not supported yet: make it a component with `wasm-tools component new`"
        )),
        None => Ok(Front::Core),
    }
}

fn not_wasm(bytes: &[u8]) -> String {
    let text = bytes.trim_ascii_start();
    if bytes.is_empty() {
        "it is empty".to_owned()
    } else if text.starts_with(b"(module") || text.starts_with(b"(component") {
        "it is WebAssembly as text; assemble it with `wat2wasm` or `wasm-tools parse`".to_owned()
    } else if bytes.starts_with(b"\0asm") {
        "it is cut off, or of a version of WebAssembly that does not exist yet".to_owned()
    } else {
        "it is not WebAssembly: it does not begin with `\\0asm`".to_owned()
    }
}

/// The custom section by which toolchains say that a core module is a component in disguise.
fn component_type(wasm: &[u8]) -> Option<String> {
    Parser::new(0)
        .parse_all(wasm)
        // What is malformed is found again, and named, when it is compiled.
        .map_while(Result::ok)
        .find_map(|payload| match payload {
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                Some(section.name().escape_default().to_string())
            }
            _ => None,
        })
}

fn compile_core(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, Failure> {
    let module = Module::from_binary(engine, wasm).map_err(refused("it does not compile"))?;
    let linker = core_linker(engine).map_err(refused("it cannot be linked"))?;
    let mut store = Store::new(engine, State::powerless());
    let unknown = module
        .imports()
        .filter(|import| {
            linker
                .get(&mut store, import.module(), import.name())
                .is_err()
        })
        .map(|import| format!("{}.{}", import.module(), import.name()));
    no_unknown_imports(unknown)?;
    linker
        .instantiate_pre(&module)
        .map_err(refused("its imports do not fit"))?;
    let start = module
        .get_export("_start")
        .and_then(|start| start.func().cloned());
    if !start.is_some_and(|start| start.params().len() == 0 && start.results().len() == 0) {
        return Err(Failure::Refused(
            "it exports no function `_start`, so it is a library and not a command".to_owned(),
        ));
    }
    module
        .serialize()
        .map_err(|error| Failure::Broken(format!("{error:#}")))
}

fn compile_component(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, Failure> {
    let component = Component::from_binary(engine, wasm).map_err(refused("it does not compile"))?;
    let ty = component.component_type();
    let unknown = ty
        .imports(engine)
        .filter(|(name, item)| {
            let is_type = matches!(item.ty, ComponentItem::Type(_) | ComponentItem::Resource(_));
            !is_type && !HOST_PACKAGES.iter().any(|host| name.starts_with(host))
        })
        .map(|(name, _)| name.to_owned());
    no_unknown_imports(unknown)?;
    let pre = component_linker(engine)
        .and_then(|linker| linker.instantiate_pre(&component))
        .map_err(refused("its imports do not fit"))?;
    CommandPre::new(pre).map_err(refused("it is not a command"))?;
    component
        .serialize()
        .map_err(|error| Failure::Broken(format!("{error:#}")))
}

fn no_unknown_imports(unknown: impl Iterator<Item = String>) -> Result<(), Failure> {
    let unknown: Vec<String> = unknown
        .map(|name| name.escape_default().to_string())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let mut why = format!(
        "it imports what no host of ours has: {}",
        unknown[..unknown.len().min(NAMES_SHOWN_MAX)].join(", ")
    );
    if unknown.len() > NAMES_SHOWN_MAX {
        why = format!("{why} and {} more", unknown.len() - NAMES_SHOWN_MAX);
    }
    Err(Failure::Refused(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wasm: &[u8]) -> String {
        match compile_bytes(wasm) {
            Ok((front, native)) => format!("{front:?}, {}", !native.is_empty()),
            Err(Failure::Refused(why)) => why,
            Err(Failure::Broken(why)) => format!("BROKEN {why}"),
        }
    }

    fn wat(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn what_is_no_module_is_refused_by_what_it_is() {
        let good = wat("(module (func (export \"_start\")))");
        assert_eq!(check(&good), "Core, true");
        for (bytes, expected) in [
            (b"".to_vec(), "it is empty"),
            (b" (module)".to_vec(), "it is WebAssembly as text"),
            (b"\x7fELF\x02\x01".to_vec(), "it is not WebAssembly"),
            (b"\0asm".to_vec(), "it is cut off"),
            (
                b"\0asm\x99\0\0\0".to_vec(),
                "it is cut off, or of a version",
            ),
            (good[..good.len() - 2].to_vec(), "it does not compile"),
            // A type section that claims 4294967295 types.
            (
                b"\0asm\x01\0\0\0\x01\x05\xff\xff\xff\xff\x0f".to_vec(),
                "it does not compile",
            ),
            (
                engine(Purpose::Compile)
                    .unwrap()
                    .precompile_module(&good)
                    .unwrap(),
                "it is precompiled native code",
            ),
        ] {
            let said = check(&bytes);
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn what_a_module_cannot_have_is_named() {
        for (text, expected) in [
            (
                r#"(module (import "env" "launch" (func)) (func (export "_start")))"#,
                "it imports what no host of ours has: env.launch",
            ),
            (
                r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func)) (func (export "_start")))"#,
                "its imports do not fit",
            ),
            (
                "(module (func (export \"main\")))",
                "it exports no function `_start`",
            ),
            (
                r#"(module (func (export "_start") (param i32)))"#,
                "it exports no function `_start`",
            ),
            (
                r#"(module (func (export "_start")) (@custom "component-type:x" ""))"#,
                "it is a core module with a `component-type:x` section",
            ),
            (
                r#"(component (import "wasi:nothing/of-the-kind@0.2.0" (instance)))"#,
                "it imports what no host of ours has: wasi:nothing/of-the-kind@0.2.0",
            ),
            ("(component)", "it is not a command"),
            (
                r#"(module (memory i64 1) (func (export "_start")))"#,
                "it does not compile",
            ),
        ] {
            let said = check(&wat(text));
            assert!(said.starts_with(expected), "{text}: {said}");
        }
    }
}
