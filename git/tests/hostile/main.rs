//! Repositories that attack, served over `file://`, against the public door of the crate.

// Clippy knows by `cfg(test)` that a panic is how a test fails.
#[cfg(test)]
mod bench;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod names;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod served;
#[cfg(test)]
mod submodules;
#[cfg(test)]
mod trees;
#[cfg(test)]
mod walk;
#[cfg(test)]
mod work_tree;
