//! Counts what a guest makes wasmtime allocate, over all its instances together: a component may hold
//! many memories, and wasmtime's own limits are for each of them.

use wasmtime::ResourceLimiter;

/// Most elements of all tables together, 8 bytes each: interpreters have some ten thousand.
const TABLE_ELEMENTS_MAX: u64 = 4_000_000;

/// Instances, and tables, and memories, of one component: composed components have a few dozen.
const PARTS_MAX: usize = 1000;

/// A guest asked for more than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit `{name}` reached: {allowed}")]
pub(super) struct LimitReached {
    /// Which limit.
    pub name: &'static str,
    /// How much is allowed.
    pub allowed: u64,
}

/// Sums over all memories and tables of a store.
#[derive(Debug)]
pub(super) struct Limiter {
    memory: Sum,
    table_elements: Sum,
}

#[derive(Debug)]
struct Sum {
    name: &'static str,
    used: u64,
    allowed: u64,
}

impl Sum {
    /// Whether a growth is possible at all, and within the limit. What a module's own maximum forbids is
    /// its own business: it is told so and goes on. What our limit forbids ends the step, so that the
    /// user reads of the limit and not of the confusion that follows from it.
    fn grow(&mut self, from: usize, to: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| to > maximum) {
            return Ok(false);
        }
        let more = u64::try_from(to.saturating_sub(from))?;
        let used = self.used.saturating_add(more);
        if used > self.allowed {
            let Self { name, allowed, .. } = *self;
            return Err(LimitReached { name, allowed }.into());
        }
        self.used = used;
        Ok(true)
    }
}

impl Limiter {
    /// Allows that many bytes of memory.
    pub(super) fn new(memory_bytes: u64) -> Self {
        Self {
            memory: Sum {
                name: "memory",
                used: 0,
                allowed: memory_bytes,
            },
            table_elements: Sum {
                name: "table elements",
                used: 0,
                allowed: TABLE_ELEMENTS_MAX,
            },
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory.grow(current, desired, maximum)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.table_elements.grow(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        PARTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_on_the_sum_over_all_memories() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        let error = limiter.memory_growing(60, 61, None).unwrap_err();
        let reached = LimitReached {
            name: "memory",
            allowed: 100,
        };
        assert_eq!(error.downcast_ref(), Some(&reached));
    }

    #[test]
    fn a_modules_own_maximum_is_no_limit_of_ours() {
        let mut limiter = Limiter::new(100);
        assert!(!limiter.memory_growing(0, 200, Some(50)).unwrap());
        assert!(limiter.memory_growing(0, 100, Some(100)).unwrap());
    }
}
