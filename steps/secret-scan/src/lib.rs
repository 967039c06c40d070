//! Finds secrets that were committed by mistake.
//!
//! From directories to findings: [`command`] reads the arguments and prints, [`walk`] hands it one
//! file's bytes at a time, [`scan`] finds places in them, [`rules`] says what a secret looks like.
//!
//! A finding says where, which rule, and a short fingerprint. It never holds the secret itself, so
//! that nothing downstream can print it by accident: a log is read by more people than a repository.
//!
//! Deliberately absent: regular expressions (each rule is a prefix and an alphabet, so that no input
//! can make matching slow), and any question to the service that issued a token.

pub mod command;
pub mod rules;
pub mod scan;
pub mod walk;
