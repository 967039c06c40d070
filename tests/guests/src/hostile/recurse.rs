//! `recurse`: calls itself until the stack is used up.
//!
//! A call keeps next to nothing in linear memory, so what runs out is the host's
//! stack for wasm calls and not the guest's own shadow stack.

use std::hint::black_box;

fn main() {
    println!("recurse: going down");
    println!("recurse: came back from {}", descend(0));
}

/// The addition after the call keeps the compiler from making a loop of it.
#[expect(
    unconditional_recursion,
    reason = "running out of stack is what this guest is for"
)]
fn descend(depth: u64) -> u64 {
    descend(black_box(depth + 1)).wrapping_add(depth)
}
