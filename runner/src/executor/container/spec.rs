//! What a step's container is and may do, as Docker's API wants to hear it.
//!
//! Everything that is not said here is denied or the engine's default: its seccomp profile, its own
//! namespaces. Secrets never stand here, because an engine shows this to everybody who may ask it.

use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};

use super::{CLONE_DIR, shell};
use crate::executor;

/// The capabilities that ordinary builds need, and no other. Left out of Docker's default list:
/// `MKNOD` and `NET_RAW` (devices and forged packets), `SETFCAP` and `SETPCAP` (a file in the workspace
/// with rights of its own), `SYS_CHROOT`, `AUDIT_WRITE`.
const CAPABILITIES: [&str; 8] = [
    "CHOWN",            // package managers and `tar x` as root restore owners
    "DAC_OVERRIDE",     // root in the container works on files of any owner in the workspace
    "FOWNER",           // chmod and utime on those files
    "FSETID",           // keeps the setgid bit of directories that are chmodded
    "KILL",             // a script that runs as root stops servers that run as someone else
    "NET_BIND_SERVICE", // test servers on port 80
    "SETGID",           // su, sudo, apt's and postgres' drop of rights
    "SETUID",           // the same
];

/// A step's network. Until steps can ask for hosts by name, it is one setting for the whole runner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The engine's default network: what scripts written for Bitbucket expect. They reach what the
    /// host reaches, also its own network.
    #[default]
    Engine,
    /// Loopback only.
    None,
}

/// What one container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerLimits {
    /// Memory of all its processes, page cache and tmpfs included, in bytes; swap gives no more.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub pids: u32,
    /// Standard output and standard error together, of script and after-script, in bytes.
    pub output_bytes: u64,
}

impl Default for ContainerLimits {
    /// Memory and output as Bitbucket gives a step of size `1x` (4 GB, 100 MB of log); pids so that a
    /// build with a thousand threads passes and a fork bomb does not.
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 30,
            pids: 4096,
            output_bytes: 100 << 20,
        }
    }
}

/// One container to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec<'a> {
    /// The image's id, not its name: the name may point elsewhere by now.
    pub(super) image_id: &'a str,
    pub(super) step: &'a str,
    pub(super) workspace: &'a Path,
    /// Caches; only the runner decides what stands here.
    pub(super) mounts: &'a [executor::Mount],
    pub(super) network: Network,
    pub(super) limits: ContainerLimits,
    /// Open files and processes, from `engine::ulimits`.
    pub(super) ulimits: (u64, u64),
    pub(super) has_selinux: bool,
}

impl Spec<'_> {
    /// The request to create it.
    pub(super) fn body(&self) -> ContainerCreateBody {
        let words = |list: &[&str]| Some(list.iter().map(ToString::to_string).collect());
        let labels = [
            ("dev.cofferdam.step", self.step.to_owned()),
            (
                "dev.cofferdam.workspace",
                self.workspace.to_string_lossy().into_owned(),
            ),
        ];
        ContainerCreateBody {
            image: Some(self.image_id.to_owned()),
            // Bitbucket runs steps as root, whatever the image says.
            user: Some("0:0".to_owned()),
            entrypoint: words(&["/bin/sh", "-c", shell::INIT]),
            cmd: Some(Vec::new()),
            working_dir: Some(CLONE_DIR.to_owned()),
            healthcheck: Some(HealthConfig {
                test: words(&["NONE"]),
                ..HealthConfig::default()
            }),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value))
                    .into_iter()
                    .collect(),
            ),
            host_config: Some(self.host_config()),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self) -> HostConfig {
        let words = |list: &[&str]| Some(list.iter().map(ToString::to_string).collect());
        let memory = i64::try_from(self.limits.memory_bytes).unwrap_or(i64::MAX);
        let (nofile, nproc) = self.ulimits;
        let mut host = HostConfig {
            privileged: Some(false),
            cap_drop: words(&["ALL"]),
            cap_add: words(&CAPABILITIES),
            security_opt: words(&["no-new-privileges"]),
            memory: Some(memory),
            memory_swap: Some(memory),
            pids_limit: Some(i64::from(self.limits.pids)),
            ulimits: Some(vec![ulimit("nofile", nofile), ulimit("nproc", nproc)]),
            network_mode: match self.network {
                Network::Engine => None,
                Network::None => Some("none".to_owned()),
            },
            ..HostConfig::default()
        };
        let own = (self.workspace, CLONE_DIR);
        let more = self.mounts.iter();
        let places = std::iter::once(own)
            .chain(more.map(|mount| (mount.host.as_path(), mount.guest.as_str())));
        if self.has_selinux {
            // Only this form can ask for a label of the container's own.
            let bind = |(host, guest): (&Path, &str)| {
                format!("{}:{guest}:rw,rprivate,Z", host.to_string_lossy())
            };
            host.binds = Some(places.map(bind).collect());
        } else {
            host.mounts = Some(places.map(|(host, guest)| mount(host, guest)).collect());
        }
        host
    }
}

fn mount(host: &Path, guest: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(host.to_string_lossy().into_owned()),
        target: Some(guest.to_owned()),
        read_only: Some(false),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

fn ulimit(name: &str, value: u64) -> ResourcesUlimits {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec<'static> {
        Spec {
            image_id: "sha256:1234",
            step: "Test",
            workspace: Path::new("/state/work/7"),
            mounts: &[],
            network: Network::None,
            limits: ContainerLimits::default(),
            ulimits: (1024, 2048),
            has_selinux: false,
        }
    }

    #[test]
    fn a_container_is_asked_for_with_one_mount_and_few_rights() {
        insta::assert_json_snapshot!(spec().body().host_config, @r##"
        {
          "Memory": 4294967296,
          "MemorySwap": 4294967296,
          "PidsLimit": 4096,
          "Ulimits": [
            {
              "Name": "nofile",
              "Soft": 1024,
              "Hard": 1024
            },
            {
              "Name": "nproc",
              "Soft": 2048,
              "Hard": 2048
            }
          ],
          "NetworkMode": "none",
          "Mounts": [
            {
              "Target": "/opt/atlassian/pipelines/agent/build",
              "Source": "/state/work/7",
              "Type": "bind",
              "ReadOnly": false,
              "BindOptions": {
                "Propagation": "rprivate"
              }
            }
          ],
          "CapAdd": [
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "FSETID",
            "KILL",
            "NET_BIND_SERVICE",
            "SETGID",
            "SETUID"
          ],
          "CapDrop": [
            "ALL"
          ],
          "Privileged": false,
          "SecurityOpt": [
            "no-new-privileges"
          ]
        }
        "##);
    }

    #[test]
    fn under_selinux_the_workspace_gets_a_label_of_its_own() {
        let selinux = Spec {
            has_selinux: true,
            network: Network::Engine,
            ..spec()
        };
        let host = selinux.body().host_config.expect("a host configuration");
        assert_eq!(host.mounts, None);
        assert_eq!(host.network_mode, None);
        insta::assert_debug_snapshot!(host.binds, @r##"
        Some(
            [
                "/state/work/7:/opt/atlassian/pipelines/agent/build:rw,rprivate,Z",
            ],
        )
        "##);
    }
}
