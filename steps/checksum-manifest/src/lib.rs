//! Writes the SHA-256 of every file below some directories, and checks such a list again.
//!
//! From directories to a manifest: [`walk`] lists the files, [`digest`] reads each one,
//! [`manifest`] is the sorted text. The text is what coreutils' `sha256sum` reads and writes, so
//! a manifest from a build can be checked on a host that has never heard of this step.
//!
//! Deliberately absent: symbolic links are neither followed nor listed, and nothing but regular
//! files is ever opened, so a FIFO in a hostile checkout cannot block the step.

pub mod command;
pub mod digest;
pub mod manifest;
pub mod walk;
