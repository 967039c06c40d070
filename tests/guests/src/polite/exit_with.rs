//! `exit-with CODE`: ends with the exit code that it is told, 0 to 255.
//!
//! It calls WASI's `proc_exit` itself, so that no library between here and the host
//! can fold the code into another one.

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn proc_exit(code: u32) -> !;
}

fn main() {
    let code = std::env::args()
        .nth(1)
        .and_then(|text| text.parse::<u8>().ok());
    let Some(code) = code else {
        eprintln!("usage: exit-with CODE, where CODE is 0 to 255");
        std::process::exit(2);
    };
    // SAFETY: proc_exit takes any number and does not return; nothing is left to drop.
    unsafe { proc_exit(u32::from(code)) }
}
