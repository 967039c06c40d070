//! A world to test in: a real hub and real runners as processes, real git repositories, real TLS, all
//! in one temporary directory and on ports that the system chose. Gone when dropped.
//!
//! Tests and the demo speak to the product as its users do: through its commands. Nothing here knows
//! how the product works inside.

pub mod engine;
pub mod laptop;
pub mod not_run;
pub mod process;
pub mod repository;
pub mod said;
pub mod schema;
pub mod world;

pub use engine::Engine;
pub use laptop::{Laptop, Ran};
pub use repository::Repository;
pub use said::said;
pub use world::{Joined, World};
