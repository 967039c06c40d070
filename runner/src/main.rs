//! `cofferdam`: arguments in, exit status out.

use std::path::PathBuf;
use std::process::ExitCode;

use cofferdam_runner::executor::wasm::confined_main;
use cofferdam_runner::process::Mode;
use cofferdam_runner::step_run;

fn main() -> ExitCode {
    if let Some(mode) = Mode::of_arguments(std::env::args_os()) {
        return confined_main(mode);
    }
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [step, run, rest @ ..] if step == "step" && run == "run" => {
            step_run::main(rest.iter().cloned(), &module_cache())
        }
        _ => ExitCode::from(step_run::status::NOT_RUN),
    }
}

#[expect(clippy::disallowed_methods, reason = "stands in for `config.rs`")]
fn module_cache() -> PathBuf {
    let get = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let uid = rustix::process::geteuid().as_raw();
    get("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| get("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/cofferdam-cache-{uid}")))
        .join("cofferdam/modules")
}
