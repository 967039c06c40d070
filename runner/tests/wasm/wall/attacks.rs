//! The attacks on the second wall, one function each: what the attacker calls, and how the target shows
//! that it worked.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use super::payload::{Arg, Program};
use super::scene::{Attempt, Outside, READ_ONLY_INSIDE, SECRET_BYTES, Scene, WORK_INSIDE};

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) program: fn(&Scene, &mut Program),
    /// Asked of the target, never of the attacker.
    pub(super) succeeded: fn(&mut Scene, &Attempt) -> bool,
    /// Whether only root could do it outside.
    pub(super) needs_root: bool,
    /// How it is tried without the wall.
    pub(super) outside: Outside,
    /// How the step ends, as its receipt says.
    pub(super) ended_by: &'static str,
    /// What stops it.
    pub(super) wall: &'static str,
}

const FILTER: &str = "system call filter";
const TREE: &str = "file tree, landlock";
const READ_ONLY: &str = "read-only mount, landlock";
const NO_CLONE: &str = "system call filter (no such call)";

const AT_FDCWD: Arg = Arg::Number(libc::AT_FDCWD.cast_unsigned() as u64);

/// All of them.
pub(super) fn attacks() -> Vec<Attack> {
    let kinds = [files(), network(), others(), births(), mounts(), code()];
    kinds.into_iter().flatten().collect()
}

fn attack(
    name: &'static str,
    (ended_by, wall): (&'static str, &'static str),
    program: fn(&Scene, &mut Program),
    succeeded: fn(&mut Scene, &Attempt) -> bool,
) -> Attack {
    Attack {
        name,
        program,
        succeeded,
        needs_root: false,
        outside: Outside::Plain,
        ended_by,
        wall,
    }
}

fn files() -> Vec<Attack> {
    let secret = |scene: &mut Scene, attempt: &Attempt| scene.is_secret_out(attempt);
    vec![
        attack(
            "read the runner's key",
            ("exit", TREE),
            |scene, program| show(program, AT_FDCWD, &scene.key),
            secret,
        ),
        attack(
            "read another job's workspace",
            ("exit", TREE),
            |scene, program| show(program, AT_FDCWD, &scene.neighbour),
            secret,
        ),
        attack(
            "climb out of every open descriptor",
            ("exit", TREE),
            |scene, program| {
                let up = Path::new("../../../../../../../../..");
                let path = up.join(scene.key.strip_prefix("/").unwrap());
                show(program, AT_FDCWD, &path);
                (3..24).for_each(|descriptor| show(program, descriptor.into(), &path));
            },
            secret,
        ),
        Attack {
            needs_root: true,
            ..attack(
                "read /etc/shadow",
                ("exit", TREE),
                |_, program| show(program, AT_FDCWD, Path::new("/etc/shadow")),
                |_, attempt| Scene::is_shadow_out(attempt),
            )
        },
        attack(
            "write to the module cache",
            ("exit", TREE),
            |scene, program| overwrite(program, &scene.cached),
            |scene, _| scene.is_cache_changed(),
        ),
        attack(
            "write to a read-only grant",
            ("exit", READ_ONLY),
            |scene, program| {
                overwrite(program, &Path::new(READ_ONLY_INSIDE).join("file"));
                overwrite(program, &scene.read_only.join("file"));
            },
            |scene, _| scene.is_read_only_file_changed(),
        ),
    ]
}

fn network() -> Vec<Attack> {
    let connected = |scene: &mut Scene, _: &Attempt| scene.was_connected_to();
    vec![
        attack(
            "connect to a TCP port",
            ("wall", FILTER),
            |scene, program| {
                let mut address = 2_u16.to_le_bytes().to_vec();
                address.extend(scene.port.to_be_bytes());
                address.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
                connect(program, libc::AF_INET, &address);
            },
            connected,
        ),
        attack(
            "connect to an abstract unix socket",
            ("wall", FILTER),
            |scene, program| connect_unix(program, &format!("\0{}", scene.abstract_name)),
            connected,
        ),
        attack(
            "connect to a unix socket in a granted directory",
            ("wall", FILTER),
            |scene, program| {
                for work in [Path::new(WORK_INSIDE), &scene.work] {
                    connect_unix(program, work.join("socket").to_str().unwrap());
                }
            },
            connected,
        ),
    ]
}

fn others() -> Vec<Attack> {
    /// `PTRACE_SEIZE` with `PTRACE_O_EXITKILL`: the target dies when the attacker ends.
    fn seize(program: &mut Program, process: Arg) {
        let options = 0x10_0000_u64;
        let number = libc::SYS_ptrace;
        program.call(number, &[0x4206.into(), process, 0.into(), options.into()]);
    }
    let dead = |scene: &mut Scene, _: &Attempt| scene.is_victim_dead();
    vec![
        attack(
            "execute a program of the work tree",
            ("wall", FILTER),
            |scene, program| {
                for work in [Path::new(WORK_INSIDE), &scene.work] {
                    let path = program.path(work.join("program"));
                    program.call(libc::SYS_execve, &[path, 0.into(), 0.into()]);
                }
            },
            |scene, attempt| scene.is_secret_out(attempt),
        ),
        Attack {
            outside: Outside::Parent,
            ..attack(
                "trace the parent to death",
                ("wall", FILTER),
                |_, program| {
                    let parent = program.call(libc::SYS_getppid, &[]);
                    seize(program, parent);
                },
                |_, attempt| attempt.status.signal() == Some(libc::SIGKILL),
            )
        },
        attack(
            "trace another process to death",
            ("wall", FILTER),
            |scene, program| seize(program, scene.victim().into()),
            dead,
        ),
        attack(
            "kill another process",
            ("wall", FILTER),
            |scene, program| {
                program.call(libc::SYS_kill, &[scene.victim().into(), 9.into()]);
            },
            dead,
        ),
        attack(
            "kill another process's thread",
            ("wall", FILTER),
            |scene, program| {
                let victim = scene.victim().into();
                program.call(libc::SYS_tgkill, &[victim, victim, 9.into()]);
            },
            dead,
        ),
        attack(
            "kill through a process descriptor",
            ("wall", FILTER),
            |scene, program| {
                let victim = scene.victim().into();
                let pidfd = program.call(libc::SYS_pidfd_open, &[victim, 0.into()]);
                let number = libc::SYS_pidfd_send_signal;
                program.call(number, &[pidfd, 9.into(), 0.into(), 0.into()]);
            },
            dead,
        ),
    ]
}

fn births() -> Vec<Attack> {
    let born = |scene: &mut Scene, _: &Attempt| scene.was_born();
    vec![
        attack(
            "fork bomb",
            ("wall", FILTER),
            |scene, program| {
                (0..5).for_each(|_| {
                    program.call(libc::SYS_fork, &[]);
                });
                child_acts(scene, program);
            },
            born,
        ),
        attack(
            "clone a process",
            ("wall", FILTER),
            |scene, program| {
                let signal = libc::SIGCHLD.cast_unsigned();
                program.call(libc::SYS_clone, &[u64::from(signal).into(), 0.into()]);
                child_acts(scene, program);
            },
            born,
        ),
        attack(
            "clone a process with the newer call",
            ("exit", NO_CLONE),
            |scene, program| {
                let mut arguments = [0_u64; 8];
                arguments[4] = libc::SIGCHLD.cast_unsigned().into();
                let bytes: Vec<u8> = arguments.into_iter().flat_map(u64::to_le_bytes).collect();
                let at = program.bytes(&bytes);
                program.call(libc::SYS_clone3, &[at, 64.into()]);
                child_acts(scene, program);
            },
            born,
        ),
        attack(
            "make one more thread",
            ("exit", NO_CLONE),
            |scene, program| {
                let flags = libc::CLONE_VM
                    | libc::CLONE_FS
                    | libc::CLONE_FILES
                    | libc::CLONE_SIGHAND
                    | libc::CLONE_THREAD
                    | libc::CLONE_SYSVSEM;
                let stack = program.bytes(&[0; 4096]);
                let Arg::Address(stack) = stack else {
                    unreachable!("bytes have an address");
                };
                let flags = u64::from(flags.cast_unsigned());
                program.call(libc::SYS_clone, &[flags.into(), Arg::Address(stack + 4096)]);
                // The two share what they calculate with; the end of one is the end of both.
                program.stay_if_positive();
                child_acts(scene, program);
            },
            born,
        ),
    ]
}

fn mounts() -> Vec<Attack> {
    let changed = |scene: &mut Scene, _: &Attempt| scene.is_read_only_file_changed();
    let of_mount = |name, program: fn(&Scene, &mut Program)| Attack {
        outside: Outside::ReadOnlyMount,
        ..attack(name, ("wall", FILTER), program, changed)
    };
    vec![
        of_mount("unmount a read-only grant", |scene, program| {
            for place in [Path::new(READ_ONLY_INSIDE), &scene.read_only] {
                let at = program.path(place);
                program.call(libc::SYS_umount2, &[at, 2.into()]);
                overwrite(program, &place.join("file"));
            }
        }),
        of_mount("remount a read-only grant", |scene, program| {
            let flags = libc::MS_REMOUNT | libc::MS_BIND;
            for place in [Path::new(READ_ONLY_INSIDE), &scene.read_only] {
                let (none, at) = (program.path("none"), program.path(place));
                let call = [none, at, 0.into(), flags.into(), 0.into()];
                program.call(libc::SYS_mount, &call);
                overwrite(program, &place.join("file"));
            }
        }),
        of_mount("make a read-only mount writable", |scene, program| {
            let attributes = [0, 1, 0, 0_u64].into_iter().flat_map(u64::to_le_bytes);
            let attributes = program.bytes(&attributes.collect::<Vec<u8>>());
            for place in [Path::new(READ_ONLY_INSIDE), &scene.read_only] {
                let at = program.path(place);
                let call = [AT_FDCWD, at, 0.into(), attributes, 32.into()];
                program.call(libc::SYS_mount_setattr, &call);
                overwrite(program, &place.join("file"));
            }
        }),
    ]
}

fn code() -> Vec<Attack> {
    const READ: u64 = 1;
    const WRITE: u64 = 2;
    const EXECUTE: u64 = 4;
    /// Private and anonymous.
    const MEMORY: u64 = 0x22;

    fn map(program: &mut Program, protection: u64) -> Arg {
        let memory = [0, 4096, protection, MEMORY, u64::MAX, 0].map(Arg::Number);
        program.call(libc::SYS_mmap, &memory)
    }
    /// Opens the new code in the work tree, wherever that is, and reads it to an address.
    fn load(scene: &Scene, program: &mut Program, at: Arg) {
        for work in [Path::new(WORK_INSIDE), &scene.work] {
            let descriptor = open(program, AT_FDCWD, &work.join("code"), 0);
            program.call(libc::SYS_read, &[descriptor, at, 4096.into()]);
        }
    }
    let spoke = |scene: &mut Scene, attempt: &Attempt| scene.is_secret_out(attempt);
    vec![
        attack(
            "map writable and executable memory",
            ("wall", FILTER),
            |scene, program| {
                let at = map(program, READ | WRITE | EXECUTE);
                load(scene, program, at);
                program.jump_to(at);
            },
            spoke,
        ),
        attack(
            "make written memory executable",
            ("wall", FILTER),
            |scene, program| {
                let at = map(program, READ | WRITE);
                load(scene, program, at);
                let protection = READ | EXECUTE;
                program.call(libc::SYS_mprotect, &[at, 4096.into(), protection.into()]);
                program.jump_to(at);
            },
            spoke,
        ),
        attack(
            "map a file of the work tree as code",
            ("wall", FILTER),
            |scene, program| {
                // Whichever of the two is there gets the lowest free descriptor.
                let at = |program: &mut Program, work: &Path| {
                    let file = open(program, AT_FDCWD, &work.join("code"), 0);
                    let how = [READ | EXECUTE, 2].map(Arg::Number);
                    let call = [0.into(), 4096.into(), how[0], how[1], file, 0.into()];
                    program.call(libc::SYS_mmap, &call)
                };
                let _inside = at(program, Path::new(WORK_INSIDE));
                let outside = at(program, &scene.work);
                program.jump_to(outside);
            },
            spoke,
        ),
        attack(
            "make all readable memory executable",
            ("wall", FILTER),
            |scene, program| {
                program.call(libc::SYS_personality, &[0x40_0000.into()]);
                let at = map(program, READ | WRITE);
                load(scene, program, at);
                program.jump_to(at);
            },
            spoke,
        ),
    ]
}

fn open(program: &mut Program, dir: Arg, path: &Path, flags: libc::c_int) -> Arg {
    let path = program.path(path);
    let flags = u64::from(flags.cast_unsigned());
    program.call(libc::SYS_openat, &[dir, path, flags.into(), 0o600.into()])
}

/// Reads the beginning of a file and writes it to the log.
fn show(program: &mut Program, dir: Arg, path: &Path) {
    let frame = super::payload::frame(1, &[0; SECRET_BYTES]);
    let length = u64::try_from(frame.len()).unwrap();
    let frame = program.bytes(&frame);
    let Arg::Address(at) = frame else {
        unreachable!("bytes have an address");
    };
    let descriptor = open(program, dir, path, libc::O_RDONLY);
    let content = Arg::Address(at + length - SECRET_BYTES as u64);
    let read = [descriptor, content, (SECRET_BYTES as u64).into()];
    program.call(libc::SYS_read, &read);
    program.call(libc::SYS_write, &[1.into(), frame, length.into()]);
}

fn overwrite(program: &mut Program, path: &Path) {
    let words = program.bytes(b"poison");
    let descriptor = open(program, AT_FDCWD, path, libc::O_WRONLY);
    program.call(libc::SYS_write, &[descriptor, words, 6.into()]);
}

fn connect(program: &mut Program, family: libc::c_int, address: &[u8]) {
    let (family, kind) = (u64::from(family.cast_unsigned()), 1_u64);
    let at = program.bytes(address);
    let length = u64::try_from(address.len()).unwrap();
    let socket = program.call(libc::SYS_socket, &[family.into(), kind.into(), 0.into()]);
    program.call(libc::SYS_connect, &[socket, at, length.into()]);
}

fn connect_unix(program: &mut Program, path: &str) {
    let mut address = 1_u16.to_le_bytes().to_vec();
    address.extend(path.as_bytes());
    connect(program, libc::AF_UNIX, &address);
}

/// What was made, if it was, leaves a file behind; whoever made it waits for that.
fn child_acts(scene: &Scene, program: &mut Program) {
    program.skip_unless_zero(2);
    for work in [Path::new(WORK_INSIDE), &scene.work] {
        open(
            program,
            AT_FDCWD,
            &work.join("born"),
            libc::O_CREAT | libc::O_WRONLY,
        );
    }
    let anybody = u64::MAX;
    program.call(
        libc::SYS_wait4,
        &[anybody.into(), 0.into(), 0.into(), 0.into()],
    );
}
