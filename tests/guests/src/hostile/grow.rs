//! `grow [MEBIBYTES]`: allocates and touches memory until it has that much, or until it is refused.
//!
//! Each mebibyte is written to, so that the host has to back it. It reports how far it came
//! and ends with 0 when it got all it was told to take, with 1 when an allocation was refused.

const MEBIBYTE: usize = 1 << 20;

fn main() {
    let wanted = std::env::args()
        .nth(1)
        .and_then(|text| text.parse::<usize>().ok());
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    while wanted.is_none_or(|wanted| blocks.len() < wanted) {
        let mut block = Vec::new();
        if blocks.try_reserve(1).is_err() || block.try_reserve_exact(MEBIBYTE).is_err() {
            println!("grow: refused after {} MiB", blocks.len());
            std::process::exit(1);
        }
        block.resize(MEBIBYTE, 0xA5);
        blocks.push(std::hint::black_box(block));
    }
    println!("grow: took {} MiB", blocks.len());
}
