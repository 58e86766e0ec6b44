//! The binary `jackdaw-counted`: the server as it is, with an allocator that counts.
//!
//! Whoever connects to the address in `JACKDAW_COUNTER` is told how often the process has asked for
//! memory until then.

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write as _;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser as _;
use jackdaw_server::{cli::Cli, command};
use mimalloc::MiMalloc;

/// The server's allocator, and how often it was asked.
struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed on as it is to an allocator that keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the allocator asks for.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}

fn main() -> ExitCode {
    if let Ok(address) = std::env::var("JACKDAW_COUNTER") {
        let listener = TcpListener::bind(address).expect("the address is free");
        std::thread::spawn(move || tell(&listener));
    }
    command::run(Cli::parse())
}

fn tell(listener: &TcpListener) {
    for mut stream in listener.incoming().flatten() {
        // Who asks and goes away has no answer to get.
        let _ = writeln!(stream, "{}", ASKED.load(Ordering::Relaxed));
    }
}
