//! The container executor against this host's real engine.
//!
//! One test, one container, one state directory. See `stand` for what happens where there is no engine.

/// A stand, or the end of the test where there can be none.
macro_rules! stand {
    ($test:ident) => {
        stand!($test, |_| {})
    };
    ($test:ident, $change:expr) => {
        match crate::stand::Stand::set_up(stringify!($test), $change).await {
            Some(stand) => stand,
            None => return,
        }
    };
}

#[path = "container/ending.rs"]
mod ending;
#[path = "container/script.rs"]
mod script;
#[path = "container/stand.rs"]
mod stand;
#[path = "container/walls.rs"]
mod walls;
