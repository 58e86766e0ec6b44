//! Where the kernel, or who confines the process, denies io_uring: each way of saying no, at each
//! step of setting a ring up, means epoll, and the clients notice nothing.

mod support;

use std::io::{self, Write as _};

use jackdaw_edge::*;
use support::*;

/// What container runtimes, old kernels and exhausted machines answer.
const ERRORS: &[i32] = &[libc::EPERM, libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOMEM, libc::EACCES];

/// The steps of setting a ring up.
const CALLS: &[libc::c_long] =
    &[libc::SYS_io_uring_setup, libc::SYS_io_uring_register, libc::SYS_io_uring_enter];

/// Makes `call` fail with `error` from now on, in this thread and those it starts (seccomp(2)).
fn deny(call: libc::c_long, error: i32) -> io::Result<()> {
    let statement =
        |code: u32, value: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: value };
    // Loads the number of the call, which comes first in `seccomp_data`, and compares.
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..statement(equal, call as u32) },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | error as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes no pointer.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the kernel copies the program, which points to a filter of the length it says.
    if unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[test]
fn whatever_denies_io_uring_epoll_serves() {
    for &call in CALLS {
        for &error in ERRORS {
            // The filter ends with the thread.
            let denied = std::thread::spawn(move || {
                deny(call, error).expect("a filter");
                let bench = Bench::start(config(DriverChoice::Auto, 2), echo);
                let mut stream = bench.connect();
                exchange(&mut stream, b"hello", b"hello");
                let stats = bench.edge.stats();
                drop(stream);
                bench.stop();
                (stats.drivers, stats.fallback)
            });
            let (drivers, fallback) = denied.join().expect("no panic");
            assert_eq!(drivers, [DriverKind::Epoll; 2], "call {call}, error {error}");
            assert!(fallback.is_some(), "call {call}, error {error}: no reason is given");
        }
    }
}

#[test]
fn a_driver_that_fails_later_ends_its_worker_and_the_edge_says_so() {
    let denies = |_: &Lab, io: &mut LabIo<'_>, _: &mut State, event: Event<'_>| {
        if let Event::Bytes(bytes) = event {
            // On the worker's own thread: from now on its ring is dead.
            deny(libc::SYS_io_uring_enter, libc::EPERM).expect("a filter");
            io.write(|out| out.extend_from_slice(bytes));
            return bytes.len();
        }
        0
    };
    let bench = Bench::start(config(DriverChoice::IoUring, 2), denies);
    assert!(bench.edge.is_running());
    let mut stream = bench.connect();
    stream.write_all(b"hello").expect("sent");
    let deadline = now() + PATIENCE;
    while bench.edge.is_running() {
        assert!(now() < deadline, "the worker goes on without its driver");
        std::thread::yield_now();
    }
    bench.stop();
}
