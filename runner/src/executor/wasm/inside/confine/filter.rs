//! The system call filter: the last wall to rise, and the one that nothing in the process can take down.
//!
//! A call has one of three answers. What a running guest or the compiler needs is allowed, by name, and
//! where an argument decides, by argument. What only an attacker wants ends the whole process with
//! `SIGSYS`, which the runner reports in words: by then wasmtime's own wall is gone, and there is nothing
//! left to be polite to. Everything else does not exist: `ENOSYS`, as on an older kernel, so that a
//! library that tries something new finds its way back.
//!
//! Calls of another architecture or of the x32 interface end the process too: their numbers mean other
//! calls.

use std::collections::BTreeMap;
use std::io;

use rustix::process::getpid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// Whose calls are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Filtered {
    /// A guest, with the files that it was granted. All its threads exist already.
    Guest,
    /// The compiler: no file at all, but threads.
    Compiler,
}

/// Memory, time, waiting, and what the language's runtime does on its own.
const EVERYBODY: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// The older names of calls above, which only x86-64 has.
#[cfg(target_arch = "x86_64")]
const OLD_NAMES: &[i64] = &[libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: &[i64] = &[];

/// What wasmtime's WASI does with files. It opens relative to granted directories; which paths that can
/// reach is up to the tree and to landlock.
const FILES: &[i64] = &[
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    // Descriptors come from the egress broker; addresses mean nothing on its sockets.
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
];

/// What no honest guest comes near. Each one is a way to other processes, to the network, to mounts, to
/// new code, or to a large piece of the kernel that steps have no use for.
const FORBIDDEN: &[i64] = &[
    // Other programs and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kcmp,
    libc::SYS_kill,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    // The network.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_sendmmsg,
    libc::SYS_socket,
    libc::SYS_socketpair,
    // Mounts, namespaces and roots.
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // Memory that could become code.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_personality,
    libc::SYS_pkey_mprotect,
    libc::SYS_remap_file_pages,
    libc::SYS_shmat,
    // Large pieces of the kernel, and its management.
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_capset,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_perf_event_open,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_swapon,
    libc::SYS_userfaultfd,
];

/// The older names of forbidden calls, which only x86-64 has.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_OLD_NAMES: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_mknod,
    libc::SYS_modify_ldt,
    libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_OLD_NAMES: &[i64] = &[];

/// What all threads of libc have, and nothing more: no process of its own, no namespace of its own.
const THREAD: libc::c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

/// What may be done to a descriptor. Owners, leases and seals are not in it.
const DESCRIPTOR_COMMANDS: [libc::c_int; 6] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_GETFL,
    libc::F_SETFD,
    libc::F_SETFL,
];

/// Numbers from here on are of the x32 interface.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Lets the filter rise around all threads of this process. It cannot be undone.
pub(in super::super) fn filter(whose: Filtered) -> io::Result<()> {
    // The stricter answer of the two counts. The second one leaves no way to add a third.
    for program in programs(whose).map_err(io::Error::other)? {
        seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Compiled<T> = Result<T, seccompiler::BackendError>;

fn programs(whose: Filtered) -> Compiled<[BpfProgram; 2]> {
    let absent = u32::try_from(libc::ENOSYS).expect("error numbers are small and positive");
    let allowed = compile(
        allowed(whose)?,
        SeccompAction::Errno(absent),
        SeccompAction::Allow,
    )?;
    let forbidden = compile(
        forbidden()?,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
    )?;
    Ok([without_x32(forbidden), allowed])
}

fn compile(rules: Rules, others: SeccompAction, these: SeccompAction) -> Compiled<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, others, these, arch)?.try_into()
}

fn allowed(whose: Filtered) -> Compiled<Rules> {
    let files = if whose == Filtered::Guest { FILES } else { &[] };
    let mut rules = whatever_arguments(&[EVERYBODY, OLD_NAMES, files]);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![bits(2, libc::PROT_EXEC, 0)?]);
    }
    rules.insert(libc::SYS_tgkill, vec![only_ourselves(SeccompCmpOp::Eq)?]);
    // On connected sockets, which it has got from us; an address would be the way to another.
    rules.insert(libc::SYS_sendto, vec![equal(4, 0)?]);
    rules.insert(libc::SYS_recvfrom, vec![equal(4, 0)?]);
    let commands = DESCRIPTOR_COMMANDS.map(|command| equal(1, command));
    rules.insert(
        libc::SYS_fcntl,
        commands.into_iter().collect::<Compiled<_>>()?,
    );
    if whose == Filtered::Compiler {
        rules.insert(libc::SYS_clone, vec![equal(0, THREAD)?]);
    }
    Ok(rules)
}

fn forbidden() -> Compiled<Rules> {
    let mut rules = whatever_arguments(&[FORBIDDEN, FORBIDDEN_OLD_NAMES]);
    // `clone3` hides its flags behind a pointer, so it does not exist; libc goes on with `clone`.
    rules.insert(libc::SYS_clone, vec![bits(0, libc::CLONE_THREAD, 0)?]);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![bits(2, libc::PROT_EXEC, libc::PROT_EXEC)?]);
    }
    rules.insert(libc::SYS_tgkill, vec![only_ourselves(SeccompCmpOp::Ne)?]);
    Ok(rules)
}

fn whatever_arguments(calls: &[&[i64]]) -> Rules {
    calls
        .iter()
        .copied()
        .flatten()
        .map(|call| (*call, Vec::new()))
        .collect()
}

fn only_ourselves(is: SeccompCmpOp) -> Compiled<SeccompRule> {
    argument(0, is, getpid().as_raw_nonzero().get())
}

fn equal(index: u8, value: libc::c_int) -> Compiled<SeccompRule> {
    argument(index, SeccompCmpOp::Eq, value)
}

fn bits(index: u8, mask: libc::c_int, value: libc::c_int) -> Compiled<SeccompRule> {
    argument(index, SeccompCmpOp::MaskedEq(number(mask)), value)
}

fn argument(index: u8, is: SeccompCmpOp, value: libc::c_int) -> Compiled<SeccompRule> {
    // Pointers are compared as a whole, numbers by the half that the kernel looks at.
    let length = match index {
        4 => SeccompCmpArgLen::Qword,
        _ => SeccompCmpArgLen::Dword,
    };
    SeccompRule::new(vec![SeccompCondition::new(
        index,
        length,
        is,
        number(value),
    )?])
}

fn number(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

/// Forbids the x32 interface before a program decides: its architecture is that of x86-64.
#[cfg(target_arch = "x86_64")]
fn without_x32(program: BpfProgram) -> BpfProgram {
    let instruction = |code: u32, jf: u8, k: u32| sock_filter {
        code: u16::try_from(code).expect("instruction codes have 16 bits"),
        jt: 0,
        jf,
        k,
    };
    // The number is the first field of what the kernel shows.
    let mut checked = vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            libc::SECCOMP_RET_KILL_PROCESS,
        ),
    ];
    checked.extend(program);
    checked
}

#[cfg(not(target_arch = "x86_64"))]
fn without_x32(program: BpfProgram) -> BpfProgram {
    program
}
