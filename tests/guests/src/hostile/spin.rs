//! `spin`: computes for ever without a single host call, after one line of output.

use std::hint::black_box;

fn main() {
    println!("spin: spinning");
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}
