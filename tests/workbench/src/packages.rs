//! Foundations: other people's programs, from the package managers that a host has.

pub(crate) mod apt;
pub(crate) mod crates;
pub(crate) mod installed;
pub(crate) mod pins;
pub(crate) mod pip;
pub(crate) mod vendor;
