//! `trap`: executes wasm's `unreachable` after one line of output.

fn main() {
    println!("trap: about to trap");
    std::process::abort();
}
