//! Waiting for a process together with what it used. The standard library waits without the usage.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Ended;

/// Takes the status of a process that has ended; `None` while it runs.
pub(super) fn try_wait(pid: Pid) -> io::Result<Option<Ended>> {
    wait4(pid, libc::WNOHANG)
}

/// Kills a process that nobody waits for, and takes its status so that no zombie stays.
pub(super) fn kill_and_forget(pid: Pid) {
    // Both fail only when it is gone already.
    let _gone = kill_process(pid, Signal::KILL);
    let waiter = std::thread::Builder::new().name("reaper".to_owned());
    let _no_thread = waiter.spawn(move || wait4(pid, 0));
}

#[expect(
    unsafe_code,
    reason = "neither the standard library nor rustix has wait4"
)]
fn wait4(pid: Pid, options: libc::c_int) -> io::Result<Option<Ended>> {
    let mut status: libc::c_int = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let reaped = loop {
        // SAFETY: both pointers are to live, writable memory of the right types.
        let reaped = unsafe {
            libc::wait4(
                pid.as_raw_nonzero().get(),
                &raw mut status,
                options,
                usage.as_mut_ptr(),
            )
        };
        if reaped != -1 {
            break reaped;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    if reaped == 0 {
        return Ok(None);
    }
    // SAFETY: all zeroes are a valid rusage, and wait4 has filled it in.
    let usage = unsafe { usage.assume_init() };
    Ok(Some(Ended {
        status: ExitStatus::from_raw(status),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        memory_peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    }))
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
        + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}
