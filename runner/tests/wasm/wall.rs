//! The second wall on its own: the shipped program runs native code of an attacker, as if WebAssembly's
//! own wall were gone.
//!
//! Each attack is tried twice with the same machine code. Outside of all walls it must work, or it would
//! prove nothing; inside of a step it must not. Who decides is the target: a file, a socket, a process, a
//! mount. What the attacker says of itself counts for nothing.

#[path = "wall/attacks.rs"]
mod attacks;
#[path = "wall/forge.rs"]
mod forge;
#[path = "wall/interpreter.rs"]
mod interpreter;
#[path = "wall/payload.rs"]
mod payload;
#[path = "wall/scene.rs"]
mod scene;

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use self::attacks::{Attack, attacks};
use self::forge::Forge;
use self::payload::{Program, frame};
use self::scene::{Outside, Scene, inside, outside};
use super::stand::{Stand, eventually};

/// What a user reads of a step that ran into the system call filter.
const STOPPED: &str = "cofferdam: the step was stopped: it made a forbidden system call, and the system \
                       call filter ended it";

/// The exit status that goes with it.
const WALL: i32 = 159;

#[test]
fn nothing_that_an_attacker_does_behind_the_first_wall_reaches_beyond_the_second() {
    for stand in stands() {
        let forge = Forge::new(&stand);
        let mut table = String::new();
        for attack in attacks() {
            if let Some(row) = check(&stand, &forge, &attack) {
                writeln!(table, "| {} | {} | {row} |", attack.name, stand.user()).unwrap();
            }
        }
        tell(&table);
    }
}

/// Tries an attack in both ways; a row of the table, or nothing where it does not count.
fn check(stand: &Stand, forge: &Forge, attack: &Attack) -> Option<String> {
    let name = attack.name;
    if attack.needs_root && stand.user() == "an ordinary user" {
        // What a user without privileges cannot do anyway is no achievement of ours.
        return None;
    }
    let mut scene = Scene::new(stand, forge);
    let mut program = Program::new();
    (attack.program)(&scene, &mut program);
    let attempt = outside(stand, &program, attack.outside);
    // The kernel may take a moment to end a process.
    let control = format!(
        "the control of: {name} {:?} {}",
        attempt.status, attempt.stderr
    );
    eventually(&control, || (attack.succeeded)(&mut scene, &attempt));
    drop(scene);

    let mut scene = Scene::new(stand, forge);
    let mut program = Program::new();
    (attack.program)(&scene, &mut program);
    let attempt = inside(stand, forge, &program);
    let text = &attempt.stderr;
    let user = stand.user();
    assert!(
        !(attack.succeeded)(&mut scene, &attempt),
        "{name} as {user}"
    );
    assert_eq!(
        attempt.ended_by, attack.ended_by,
        "{name} as {user}: {text}"
    );
    let outcome = if attack.ended_by == "wall" {
        assert_eq!(attempt.status.code(), Some(WALL), "{name}");
        assert!(text.starts_with(STOPPED), "{name}: {text}");
        "stopped: it made a forbidden system call"
    } else {
        assert_eq!(attempt.status.code(), Some(7), "{name}: {text}");
        "exit 7, as the attacker says"
    };
    Some(format!("works | {outcome} | {}", attack.wall))
}

#[test]
fn a_call_that_no_step_needs_ends_it() {
    /// A call of the x32 interface, as the kernel numbers them.
    const X32: i64 = 0x4000_0000;
    let calls = [
        ("add_key", libc::SYS_add_key),
        ("bpf", libc::SYS_bpf),
        ("chroot", libc::SYS_chroot),
        ("fsopen", libc::SYS_fsopen),
        ("init_module", libc::SYS_init_module),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("keyctl", libc::SYS_keyctl),
        ("memfd_create", libc::SYS_memfd_create),
        ("move_mount", libc::SYS_move_mount),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("open_tree", libc::SYS_open_tree),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("pidfd_getfd", libc::SYS_pidfd_getfd),
        ("pivot_root", libc::SYS_pivot_root),
        ("process_vm_readv", libc::SYS_process_vm_readv),
        ("process_vm_writev", libc::SYS_process_vm_writev),
        ("setns", libc::SYS_setns),
        ("shmat", libc::SYS_shmat),
        ("socketpair", libc::SYS_socketpair),
        ("unshare", libc::SYS_unshare),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("getpid of the x32 interface", X32 + libc::SYS_getpid),
    ];
    for stand in stands() {
        let forge = Forge::new(&stand);
        let check = |name: &str, program: &Program| {
            let attempt = outside(&stand, program, Outside::Plain);
            assert_eq!(attempt.status.code(), Some(7), "{name} outside");
            let attempt = inside(&stand, &forge, program);
            let end = (attempt.status.code(), attempt.ended_by.as_str());
            assert_eq!(end, (Some(WALL), "wall"), "{name}: {}", attempt.stderr);
        };
        for (name, number) in calls {
            let mut program = Program::new();
            program.call(number, &[]);
            check(name, &program);
        }
        let mut program = Program::new();
        // `getpid`, as 32-bit programs number it.
        program.old_call(20);
        check("getpid of the 32-bit interface", &program);
    }
}

#[test]
fn a_call_that_a_step_may_try_in_vain_does_not_exist() {
    let stand = Stand::new();
    let forge = Forge::new(&stand);
    for number in [libc::SYS_prctl, libc::SYS_ioctl, libc::SYS_clone3, 5000] {
        let mut program = Program::new();
        program.call(number, &[]);
        let attempt = inside(&stand, &forge, &program);
        assert_eq!(attempt.ended_by, "exit", "{number}: {}", attempt.stderr);
    }
}

#[test]
fn a_step_that_lies_about_its_walls_is_not_believed() {
    for stand in stands() {
        let forge = Forge::new(&stand);
        for lie in [
            r#"{"NoTree":"there are no namespaces"}"#,
            r#"{"TooWeak":"nothing"}"#,
            r#"{"Broken":"try again"}"#,
            r#"{"Process":1}"#,
            r#"{"Walls":{"namespaces":[],"has_tree":true,"uid":1,"landlock_abi":99,"has_call_filter":true}}"#,
        ] {
            let mut program = Program::new();
            let said = frame(4, lie.as_bytes());
            let length = u64::try_from(said.len()).unwrap();
            let said = program.bytes(&said);
            program.call(libc::SYS_write, &[1.into(), said, length.into()]);
            let attempt = inside(&stand, &forge, &program);
            assert_eq!(
                attempt.status.code(),
                Some(125),
                "{lie} as {}: {}",
                stand.user(),
                attempt.stderr
            );
            assert!(
                attempt.stderr.contains("it talks nonsense"),
                "{lie} {}",
                attempt.stderr
            );
        }
    }
}

#[test]
fn a_forged_entry_runs_at_all() {
    for stand in stands() {
        let forge = Forge::new(&stand);
        let attempt = inside(&stand, &forge, &Program::new());
        assert_eq!(attempt.status.signal(), None);
        assert_eq!(attempt.status.code(), Some(7), "{}", attempt.stderr);
    }
}

/// Root and an ordinary user, and a host without namespaces if one can be had.
fn stands() -> Vec<Stand> {
    let mut stands = Stand::everybody("attacks on the second wall");
    stands.extend(Stand::hardened("attacks on a host without namespaces"));
    stands
}

fn tell(table: &str) {
    let head = "| attack | as | outside | what the user reads | wall |\n|---|---|---|---|---|\n";
    let _unheard = write!(std::io::stderr(), "{head}{table}");
}
