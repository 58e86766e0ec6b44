//! The few system calls that neither `std` nor a safe crate offers.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A non-blocking eventfd.
pub(crate) fn eventfd() -> io::Result<File> {
    // SAFETY: takes no pointers; the result is checked before use.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just made and nobody else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Binds the calling thread to one of the cores that the process may use, counted from 0.
pub(crate) fn pin_to_core(number: usize) -> io::Result<()> {
    // SAFETY: `cpu_set_t` is plain bits, for which all zeroes is the empty set.
    let (mut allowed, mut one): (libc::cpu_set_t, libc::cpu_set_t) = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: the pointer and the size are those of `allowed`.
    if unsafe { libc::sched_getaffinity(0, size, &mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut cores = (0..libc::CPU_SETSIZE as usize).filter(|core| {
        // SAFETY: `core` is within the set.
        unsafe { libc::CPU_ISSET(*core, &allowed) }
    });
    let core = cores.nth(number).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: likewise.
    unsafe { libc::CPU_SET(core, &mut one) };
    // SAFETY: the pointer and the size are those of `one`, which outlives the call.
    let result = unsafe { libc::sched_setaffinity(0, size, &one) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Raises the soft descriptor limit to the hard one. Returns what it was and what it is.
pub(crate) fn raise_descriptor_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is initialised and outlives the call.
    if before < limit.rlim_max && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((before, limit.rlim_max))
}
