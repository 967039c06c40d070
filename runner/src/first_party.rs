//! The first-party steps: modules that are part of this program, so that a release fixes their bytes.
//!
//! `build.rs` takes them from where `./just guests` puts them; a program that was built without them says so. Who
//! names `step:NAME` gets the bytes that are in here and no others: there is no directory in which somebody could
//! replace one (`docs/adr/0005`).

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// What stands before the name of one: `step:secret-scan`.
pub const SCHEME: &str = "step:";

/// One step.
#[derive(Clone, Copy)]
pub struct FirstPartyStep {
    /// As the pipeline file calls it, behind [`SCHEME`].
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    /// The module.
    pub module: &'static [u8],
}

impl std::fmt::Debug for FirstPartyStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them, by name: `STEPS`, and `MISSING`, the names of those that this program was built without.
mod table {
    use super::FirstPartyStep;

    include!(concat!(env!("OUT_DIR"), "/first_party.rs"));
}

pub use table::{MISSING, STEPS};

/// Why there is no such step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStep {
    /// The name is not one of ours.
    #[error("no step `{0}` ships with this runner; there are: {names}", names = names())]
    Unknown(String),
    /// It would be, but nobody had built it when this program was built.
    #[error("this runner was built without its first-party steps, `{0}` among them")]
    NotBuilt(String),
}

/// The step of that name.
pub fn find(name: &str) -> Result<&'static FirstPartyStep, NoStep> {
    let found = STEPS.iter().find(|step| step.name == name);
    found.ok_or_else(|| {
        if MISSING.contains(&name) {
            NoStep::NotBuilt(name.to_owned())
        } else {
            NoStep::Unknown(name.to_owned())
        }
    })
}

impl FirstPartyStep {
    /// `sha256:` and the digest of the module, as receipts have it.
    pub fn digest(&self) -> String {
        format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(self.module)))
    }
}

fn names() -> String {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_the_checkout_is_in_the_table_or_known_to_be_missing() {
        let mut known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        known.extend(MISSING);
        known.sort_unstable();
        assert_eq!(known, ["checksum-manifest", "secret-scan"]);
        for step in STEPS {
            assert!(step.module.starts_with(b"\0asm"), "{step:?}");
            assert!(!step.about.is_empty(), "{step:?}");
            assert_eq!(find(step.name).unwrap().digest(), step.digest());
        }
    }

    /// A digest that is shown to people should not depend on whose home the release was built in.
    #[test]
    fn no_module_names_a_place_of_the_host_that_built_it() {
        let home = concat!(env!("CARGO_MANIFEST_DIR"), "/../").as_bytes();
        let checkout = home.strip_suffix(b"runner/../").unwrap();
        for step in STEPS {
            for place in [checkout, b"/root/", b"/home/", b"/.cargo/registry/"] {
                let names_it = step.module.windows(place.len()).any(|part| part == place);
                assert!(!names_it, "{step:?}: {}", String::from_utf8_lossy(place));
            }
        }
    }

    #[test]
    fn a_step_that_is_not_there_is_named() {
        for name in ["", "scan", "../secret-scan", "secret-scan.wasm"] {
            let why = find(name).unwrap_err().to_string();
            let expected = format!("no step `{name}` ships with this runner; there are: ");
            assert!(why.starts_with(&expected), "{why}");
        }
    }
}
