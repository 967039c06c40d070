//! Reads what the kernel counted for one container: processes, memory, processor time.
//!
//! From the host's own cgroup files, version 1 or 2, because engines differ in what they report (Podman
//! 4.3 never says on version 1 that memory ran out in an exec). Every answer is optional: an engine in a
//! virtual machine or another namespace has its cgroups elsewhere. Deliberately absent: any write.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

const MOUNT: &str = "/sys/fs/cgroup";

/// Where the kernel counts for one container.
#[derive(Clone, Debug, Default)]
pub(super) struct Cgroup {
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    cpu: Option<PathBuf>,
}

impl Cgroup {
    /// Finds the cgroups of the container `id`, whose init has this process id on this host.
    pub(super) fn of(pid: i64, id: &str) -> Self {
        std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .map(|text| Self::parse(&text, id))
            .unwrap_or_default()
    }

    /// Reads the lines `hierarchy:controllers:path` of cgroups(7).
    fn parse(text: &str, id: &str) -> Self {
        let mut found = Self::default();
        let lines = text.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?))
        });
        for (controllers, path) in lines {
            // The path must name the container: the engine may count process ids in another namespace,
            // and then this is somebody else's process.
            let Some(path) = up_to(Path::new(path), id) else {
                continue;
            };
            for controller in controllers.split(',') {
                let slot = match controller {
                    "memory" => &mut found.memory,
                    "pids" => &mut found.pids,
                    "cpuacct" => &mut found.cpu,
                    "" => {
                        // Version 2: one path for all, unless version 1 already carries the controller.
                        let unified = Path::new(MOUNT).join(&path);
                        found.memory.get_or_insert_with(|| unified.clone());
                        found.pids.get_or_insert_with(|| unified.clone());
                        found.cpu.get_or_insert(unified);
                        continue;
                    }
                    _ => continue,
                };
                *slot = Some(Path::new(MOUNT).join(controller).join(&path));
            }
        }
        found
    }

    /// Processes and threads in the container now, its init included.
    pub(super) fn tasks(&self) -> Option<u64> {
        number(self.pids.as_deref()?, "pids.current")
    }

    /// How many processes were killed because the memory limit was reached.
    pub(super) fn oom_kills(&self) -> Option<u64> {
        let dir = self.memory.as_deref()?;
        keyed(dir, "memory.events", "oom_kill")
            .or_else(|| keyed(dir, "memory.oom_control", "oom_kill"))
    }

    /// The most memory that was in use at once, in bytes, page cache included.
    pub(super) fn memory_peak_bytes(&self) -> Option<u64> {
        let dir = self.memory.as_deref()?;
        number(dir, "memory.peak").or_else(|| number(dir, "memory.max_usage_in_bytes"))
    }

    /// Processor time of everything in the container.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let dir = self.cpu.as_deref()?;
        keyed(dir, "cpu.stat", "usage_usec")
            .map(Duration::from_micros)
            .or_else(|| number(dir, "cpuacct.usage").map(Duration::from_nanos))
    }
}

/// The part of an absolute cgroup path up to the component that holds `id`, made relative. Some runtimes
/// put the processes one level below it.
fn up_to(path: &Path, id: &str) -> Option<PathBuf> {
    let mut found = PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        found.push(name);
        if name.to_string_lossy().contains(id) {
            return Some(found);
        }
    }
    None
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    let text = std::fs::read_to_string(dir.join(file)).ok()?;
    text.trim().parse().ok()
}

fn keyed(dir: &Path, file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(dir.join(file)).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_controllers_win_over_the_unified_tree() {
        let found = Cgroup::parse(
            "12:pids:/libpod_parent/libpod-abc\n9:memory:/libpod_parent/libpod-abc\n\
             2:cpu,cpuacct:/libpod_parent/libpod-abc\n0::/libpod_parent/libpod-abc\n",
            "abc",
        );
        insta::assert_debug_snapshot!(found, @r##"
        Cgroup {
            memory: Some(
                "/sys/fs/cgroup/memory/libpod_parent/libpod-abc",
            ),
            pids: Some(
                "/sys/fs/cgroup/pids/libpod_parent/libpod-abc",
            ),
            cpu: Some(
                "/sys/fs/cgroup/cpuacct/libpod_parent/libpod-abc",
            ),
        }
        "##);
    }

    #[test]
    fn on_version_2_the_container_s_own_level_is_read() {
        let found = Cgroup::parse("0::/user.slice/libpod-abc.scope/container\n", "abc");
        insta::assert_debug_snapshot!(found.memory, @r##"
        Some(
            "/sys/fs/cgroup/user.slice/libpod-abc.scope",
        )
        "##);
    }

    #[test]
    fn a_path_that_does_not_name_the_container_is_not_read() {
        let found = Cgroup::parse("9:memory:/system.slice/cron.service\n0::/init\n", "abc");
        insta::assert_debug_snapshot!(found, @"
        Cgroup {
            memory: None,
            pids: None,
            cpu: None,
        }
        ");
    }
}
