//! Who this runner is, and which hub is its own: the files under the state directory.
//!
//! `runner.key` is the private half of the runner's ed25519 key: made here, 0600, never sent.
//! `identity.json` says which hub the runner joined and whom to trust about it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cofferdam_protocol::RunnerId;
use cofferdam_protocol::proof::{PublicKey, Signature, sign};
use ed25519_dalek::SigningKey;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::hub_address::HubAddress;
use crate::tls::Roots;

const KEY_FILE: &str = "runner.key";
const IDENTITY_FILE: &str = "identity.json";
const LOCK_FILE: &str = "lock";

/// Longest identity file that is read. As JSON the largest CA file that `join` takes fits.
const IDENTITY_BYTES_MAX: u64 = 1024 * 1024;

/// The runner's private key. Has neither `Debug` of its secret nor `Display`.
pub struct RunnerKey(SigningKey);

impl std::fmt::Debug for RunnerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunnerKey({:?})", self.public())
    }
}

impl RunnerKey {
    /// Makes a key from the operating system's randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| IdentityError::Randomness(error.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The half that the hub keeps.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Signature {
        sign(&self.0, message)
    }
}

/// What a runner that has joined knows about itself and its hub.
#[derive(Debug)]
pub struct Identity {
    /// The name that the hub gave it.
    pub runner: RunnerId,
    /// Its private key.
    pub key: RunnerKey,
    /// Where the hub is.
    pub hub: HubAddress,
    /// The hub's own ed25519 identity, learnt when the runner joined.
    pub hub_identity: PublicKey,
    /// Whom to believe about the hub's certificate.
    pub roots: Roots,
    /// The labels that the hub gave it.
    pub labels: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    runner: RunnerId,
    hub: String,
    hub_identity: PublicKey,
    /// PEM; the platform's roots where it is missing.
    ca: Option<String>,
    labels: Vec<String>,
}

/// What is wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// The verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No runner lives here.
    #[error("{} holds no runner yet; `cofferdam join` makes one", path.display())]
    NotJoined {
        /// The state directory.
        path: PathBuf,
    },
    /// A runner lives here already.
    #[error("{} holds a runner already; give another --state, or remove it first", path.display())]
    AlreadyJoined {
        /// The state directory.
        path: PathBuf,
    },
    /// Others could change what is in it.
    #[error("{} must belong to this user, and nobody else may write there", path.display())]
    NotOurs {
        /// The state directory.
        path: PathBuf,
    },
    /// Another process works with it.
    #[error("another cofferdam works with {}", path.display())]
    InUse {
        /// The state directory.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(String),
}

/// The state directory, held by this process alone until dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Opens the directory, making it if it is missing, and locks it against a second process.
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let fail = |doing| {
            move |source| IdentityError::Io {
                doing,
                path: path.to_owned(),
                source,
            }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(fail("make the directory"))?;
        let meta = std::fs::metadata(path).map_err(fail("look at"))?;
        let is_ours = meta.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || meta.mode() & 0o022 != 0 {
            return Err(IdentityError::NotOurs {
                path: path.to_owned(),
            });
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(fail("open the lock in"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(IdentityError::InUse {
                path: path.to_owned(),
            }),
            Err(errno) => Err(fail("lock")(errno.into())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails where a runner lives already, so that joining never overwrites a key.
    pub fn refuse_if_joined(&self) -> Result<(), IdentityError> {
        if self.path.join(IDENTITY_FILE).exists() {
            return Err(IdentityError::AlreadyJoined {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    /// Stores a key that is about to join: should the disk be full, then before the token is used up.
    pub fn save_key(&self, key: &RunnerKey) -> Result<(), IdentityError> {
        self.write_private(KEY_FILE, &key.0.to_bytes())
    }

    /// Removes a key that did not join.
    pub fn forget_key(&self) {
        // One that stays is overwritten by the next join.
        let _gone = std::fs::remove_file(self.path.join(KEY_FILE));
    }

    /// Stores a new identity: the key first, the file that makes it count last.
    pub fn save(&self, identity: &Identity) -> Result<(), IdentityError> {
        let ca = match &identity.roots {
            Roots::Platform | Roots::Fingerprint(_) => None,
            Roots::Pem(pem) => Some(String::from_utf8_lossy(pem).into_owned()),
        };
        let file = IdentityFile {
            runner: identity.runner,
            hub: identity.hub.to_string(),
            hub_identity: identity.hub_identity,
            ca,
            labels: identity.labels.clone(),
        };
        let json = serde_json::to_vec_pretty(&file).expect("an identity has only string keys");
        self.save_key(&identity.key)?;
        self.write_private(IDENTITY_FILE, &json)
    }

    /// The identity that `save` stored.
    pub fn load(&self) -> Result<Identity, IdentityError> {
        let path = self.path.join(IDENTITY_FILE);
        if !path.exists() {
            return Err(IdentityError::NotJoined {
                path: self.path.clone(),
            });
        }
        let damaged = |why: String| IdentityError::Damaged {
            path: path.clone(),
            why,
        };
        let json = self.read_private(IDENTITY_FILE)?;
        let file: IdentityFile =
            serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
        let hub = file
            .hub
            .parse()
            .map_err(|error| damaged(format!("hub: {error}")))?;
        let seed = self.read_private(KEY_FILE)?;
        let seed: [u8; 32] = seed.try_into().map_err(|_| IdentityError::Damaged {
            path: self.path.join(KEY_FILE),
            why: "a key has 32 bytes".to_owned(),
        })?;
        Ok(Identity {
            runner: file.runner,
            key: RunnerKey(SigningKey::from_bytes(&seed)),
            hub,
            hub_identity: file.hub_identity,
            roots: file
                .ca
                .map_or(Roots::Platform, |pem| Roots::Pem(pem.into_bytes())),
            labels: file.labels,
        })
    }

    /// Writes a 0600 file whole or not at all.
    fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), IdentityError> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        let write = || -> io::Result<()> {
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| IdentityError::Io {
            doing: "write",
            path: path.clone(),
            source,
        })
    }

    fn read_private(&self, name: &str) -> Result<Vec<u8>, IdentityError> {
        let path = self.path.join(name);
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(&path)?
                .take(IDENTITY_BYTES_MAX + 1)
                .read_to_end(&mut bytes)?;
            if bytes.len() as u64 > IDENTITY_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "it is longer than {IDENTITY_BYTES_MAX} bytes"
                )));
            }
            Ok(bytes)
        };
        read().map_err(|source| IdentityError::Io {
            doing: "read",
            path: path.clone(),
            source,
        })
    }
}
