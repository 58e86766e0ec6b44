//! One ring: its requests, its listening sockets and its buffers.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{DestinationSlot, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::config::UringConfig;
use crate::doorbell::Doorbell;
use crate::driver::ListenSocket;

use super::buffers::{Buffers, GROUP};

/// Requests that are queued before they must be submitted; a turn may submit several times.
const SUBMISSIONS: u32 = 512;

/// Descriptors of the soft limit that are not used for sockets of one ring: the limit also bounds
/// what the rest of the process opens meanwhile.
const TABLE_MARGIN: u64 = 64;

/// Most bytes in one send, so that progress to a slow peer is seen.
const SEND_BYTES_MAX: usize = 256 * 1024;

/// Size of the largest Internet address, `sockaddr_in6`.
const ADDRESS_BYTES: usize = 28;

/// What a request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Accept,
    Receive,
    Poll,
    Send,
    Shut,
    Close,
    Cancel,
    Doorbell,
    Ring,
}

const OPS: [Op; 9] = [
    Op::Accept,
    Op::Receive,
    Op::Poll,
    Op::Send,
    Op::Shut,
    Op::Close,
    Op::Cancel,
    Op::Doorbell,
    Op::Ring,
];

/// A request's name: operation (8 bits), generation (24), place (32).
fn name(op: Op, generation: u32, slot: u32) -> u64 {
    (op as u64) << 56 | u64::from(generation) << 32 | u64::from(slot)
}

/// A request that is done, or has something to say.
pub(super) struct Completion {
    pub(super) op: Op,
    pub(super) generation: u32,
    pub(super) slot: u32,
    pub(super) result: io::Result<u32>,
    /// The request goes on.
    pub(super) more: bool,
    flags: u32,
}

impl Completion {
    fn new(entry: &cqueue::Entry) -> Completion {
        let name = entry.user_data();
        let result = entry.result();
        Completion {
            op: OPS[(name >> 56) as usize % OPS.len()],
            generation: (name >> 32) as u32 & 0x00ff_ffff,
            slot: name as u32,
            result: u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)),
            more: cqueue::more(entry.flags()),
            flags: entry.flags(),
        }
    }
}

/// Where the kernel writes the address of the peer of one accept. One-shot accepts, several of
/// them: the address of a multishot one is shared by all its connections, and asking afterwards
/// costs as many requests again.
struct AcceptPlace {
    address: [u8; ADDRESS_BYTES],
    length: libc::socklen_t,
    listener: usize,
    armed: bool,
    cancelled: bool,
}

struct Listener {
    number: u16,
    /// Of the worker; its rings share it.
    socket: Arc<TcpListener>,
    /// Accepts of this ring under way.
    armed: usize,
}

/// One ring. It is dropped before the other fields, into which the kernel writes until then.
pub(super) struct Ring {
    ring: IoUring,
    listeners: Vec<Listener>,
    #[allow(clippy::vec_box)] // The kernel writes into them; they must not move.
    places: Vec<Box<AcceptPlace>>,
    buffers: Buffers,
    slots: u32,
    /// Requests that the queue had no room for: at most a few per socket.
    backlog: VecDeque<squeue::Entry>,
    /// Rung when there is work, if somebody else waits for it.
    pub(super) bell: Doorbell,
}

impl Ring {
    pub(super) fn new(config: &UringConfig) -> io::Result<Ring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_taskrun_flag()
            .setup_cqsize(config.completions_per_ring.max(SUBMISSIONS + 1))
            .build(SUBMISSIONS)?;
        let (_, nofile) = crate::sys::raise_descriptor_limit()?;
        let slots = u64::from(config.slots_per_ring).min(nofile.saturating_sub(TABLE_MARGIN));
        let slots = u32::try_from(slots).unwrap_or(u32::MAX).max(1);
        ring.submitter().register_files_sparse(slots)?;
        let buffers = config.buffers_per_ring.max(1).checked_next_power_of_two();
        let buffers = Buffers::register(&ring, buffers.ok_or(io::ErrorKind::InvalidInput)?)?;
        let bell = Doorbell::new()?;
        Ok(Ring {
            ring,
            listeners: Vec::new(),
            places: Vec::new(),
            buffers,
            slots,
            backlog: VecDeque::new(),
            bell,
        })
    }

    /// Places in the table of direct descriptors.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    pub(super) fn listeners(&self) -> usize {
        self.listeners.len()
    }

    pub(super) fn listen(&mut self, listener: ListenSocket) -> io::Result<()> {
        // On a non-blocking one the kernel would answer EAGAIN instead of waiting.
        listener.socket.set_nonblocking(false)?;
        let ListenSocket { listener: number, socket } = listener;
        self.listeners.push(Listener { number, socket: Arc::new(socket), armed: 0 });
        Ok(())
    }

    /// Takes the listening sockets of another ring as well; only one of them is to accept.
    pub(super) fn share_listeners(&mut self, other: &Ring) {
        self.listeners.extend(other.listeners.iter().map(|listener| Listener {
            number: listener.number,
            socket: Arc::clone(&listener.socket),
            armed: 0,
        }));
    }

    pub(super) fn submit(&mut self) -> io::Result<()> {
        self.push_backlog();
        interrupted_is_fine(self.ring.submit())
    }

    pub(super) fn submit_and_wait(&mut self, wait: Option<Duration>) -> io::Result<()> {
        self.push_backlog();
        if self.is_busy() {
            return self.submit();
        }
        let Some(wait) = wait else {
            return interrupted_is_fine(self.ring.submit_and_wait(1));
        };
        let time = Timespec::from(wait);
        let args = SubmitArgs::new().timespec(&time);
        interrupted_is_fine(self.ring.submitter().submit_with_args(1, &args))
    }

    /// Whether there is something to do without waiting.
    pub(super) fn is_busy(&mut self) -> bool {
        !self.ring.completion().is_empty() || !self.backlog.is_empty()
    }

    pub(super) fn collect(&mut self, completions: &mut Vec<Completion>) {
        completions.extend(self.ring.completion().map(|entry| Completion::new(&entry)));
    }

    /// Queues a request.
    ///
    /// # Safety
    ///
    /// What the request points to stays valid and unaliased until its last completion.
    unsafe fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() {
            // SAFETY: as this function demands.
            let mut pushed = unsafe { self.ring.submission().push(&entry) };
            if pushed.is_err() && self.submit().is_ok() {
                // SAFETY: likewise.
                pushed = unsafe { self.ring.submission().push(&entry) };
            }
            if pushed.is_ok() {
                return;
            }
        }
        // The kernel takes nothing before its completions are looked at; the next turn does.
        self.backlog.push_back(entry);
    }

    /// Moves what did not fit before into the queue.
    fn push_backlog(&mut self) {
        while let Some(entry) = self.backlog.front() {
            // SAFETY: whoever called `push` keeps its promise until the completion.
            if unsafe { self.ring.submission().push(entry) }.is_err() {
                return;
            }
            self.backlog.pop_front();
        }
    }

    /// Queues a request that points to nothing.
    fn push_plain(&mut self, entry: squeue::Entry, op: Op, generation: u32, slot: u32) {
        let entry = entry.user_data(name(op, generation, slot));
        // SAFETY: the callers below use operations without pointers.
        unsafe { self.push(entry) };
    }

    pub(super) fn receive(&mut self, slot: u32, generation: u32) {
        let entry = opcode::RecvMulti::new(Fixed(slot), GROUP).build();
        self.push_plain(entry, Op::Receive, generation, slot);
    }

    pub(super) fn poll(&mut self, slot: u32, generation: u32) {
        let entry = opcode::PollAdd::new(Fixed(slot), libc::POLLIN as u32).build();
        self.push_plain(entry, Op::Poll, generation, slot);
    }

    pub(super) fn shut(&mut self, slot: u32, generation: u32) {
        let entry = opcode::Shutdown::new(Fixed(slot), libc::SHUT_WR).build();
        self.push_plain(entry, Op::Shut, generation, slot);
    }

    pub(super) fn close(&mut self, slot: u32) {
        let entry = opcode::Close::new(Fixed(slot)).build();
        self.push_plain(entry, Op::Close, 0, slot);
    }

    /// Cancels by name; by descriptor the kernel would walk through all requests.
    pub(super) fn cancel(&mut self, op: Op, slot: u32, generation: u32) {
        let entry = opcode::AsyncCancel::new(name(op, generation, slot)).build();
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        self.push_plain(entry, Op::Cancel, generation, slot);
    }

    /// Sends the beginning of `bytes`; the completion says how much.
    ///
    /// # Safety
    ///
    /// `bytes` stays where it is, unchanged, until that completion.
    pub(super) unsafe fn send(&mut self, slot: u32, generation: u32, bytes: &[u8]) {
        let length = bytes.len().min(SEND_BYTES_MAX) as u32;
        let entry = opcode::Send::new(Fixed(slot), bytes.as_ptr(), length)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(name(Op::Send, generation, slot));
        // SAFETY: as this function demands.
        unsafe { self.push(entry) };
    }

    pub(super) fn watch_doorbell(&mut self, op: Op, slot: u32, bell: &Doorbell) -> io::Result<()> {
        self.poll_doorbell(op, slot, bell);
        self.submit()
    }

    pub(super) fn poll_doorbell(&mut self, op: Op, slot: u32, bell: &Doorbell) {
        let fd = Fd(bell.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        self.push_plain(entry, op, 0, slot);
    }

    /// Rings the bell whenever there is work. Polling the ring itself is not enough: Linux 6.18
    /// does not wake the poll for deferred work.
    pub(super) fn ring_bell(&mut self) -> io::Result<()> {
        self.ring.submitter().register_eventfd(self.bell.as_raw_fd())
    }

    /// Makes the number of accepts under way for a listener be `wanted`.
    pub(super) fn keep_accepts(&mut self, listener: usize, wanted: usize) -> io::Result<()> {
        while self.listeners[listener].armed < wanted {
            self.arm_accept(listener);
        }
        if self.listeners[listener].armed > wanted {
            self.cancel_accepts(listener, wanted);
        }
        Ok(())
    }

    fn arm_accept(&mut self, listener: usize) {
        let free = self.places.iter().position(|place| !place.armed);
        let index = free.unwrap_or_else(|| {
            self.places.push(Box::new(AcceptPlace {
                address: [0; ADDRESS_BYTES],
                length: 0,
                listener,
                armed: false,
                cancelled: false,
            }));
            self.places.len() - 1
        });
        let place = &mut *self.places[index];
        place.length = ADDRESS_BYTES as libc::socklen_t;
        place.listener = listener;
        place.armed = true;
        place.cancelled = false;
        self.listeners[listener].armed += 1;
        let fd = Fd(self.listeners[listener].socket.as_raw_fd());
        let entry = opcode::Accept::new(fd, (&raw mut place.address).cast(), &raw mut place.length)
            .file_index(Some(DestinationSlot::auto_target()))
            .build()
            .user_data(name(Op::Accept, 0, index as u32));
        // SAFETY: the place is boxed, so it does not move, and it is not used again before the
        // completion makes it unarmed.
        unsafe { self.push(entry) };
    }

    fn cancel_accepts(&mut self, listener: usize, wanted: usize) {
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            if place.listener == listener && place.armed && !place.cancelled {
                if self.listeners[listener].armed <= wanted {
                    return;
                }
                place.cancelled = true;
                self.listeners[listener].armed -= 1;
                self.cancel(Op::Accept, index as u32, 0);
            }
        }
    }

    /// An accept is done: for which listener, and who came.
    pub(super) fn take_accept(&mut self, index: u32) -> Option<(u16, SocketAddr)> {
        let place = &mut self.places[index as usize];
        place.armed = false;
        let listener = &mut self.listeners[place.listener];
        if !place.cancelled {
            listener.armed -= 1;
        }
        read_address(&place.address).map(|address| (listener.number, address))
    }

    /// The bytes of a receive.
    pub(super) fn received(&mut self, completion: &Completion, count: usize) -> &mut [u8] {
        match cqueue::buffer_select(completion.flags) {
            Some(buffer) => self.buffers.bytes(buffer, count),
            None => &mut [],
        }
    }

    /// They have been used.
    pub(super) fn give_back(&mut self, completion: &Completion, count: usize) {
        if let Some(buffer) = cqueue::buffer_select(completion.flags) {
            self.buffers.used(buffer, count, cqueue::buffer_more(completion.flags));
        }
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
fn read_address(bytes: &[u8; ADDRESS_BYTES]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let (address, _) = rest.split_first_chunk::<4>()?;
            Some(SocketAddr::from((Ipv4Addr::from(*address), port)))
        }
        libc::AF_INET6 => {
            let (_, rest) = rest.split_first_chunk::<4>()?;
            let (address, rest) = rest.split_first_chunk::<16>()?;
            let (scope, _) = rest.split_first_chunk::<4>()?;
            let (address, scope) = (Ipv6Addr::from(*address), u32::from_ne_bytes(*scope));
            Some(SocketAddrV6::new(address, port, 0, scope).into())
        }
        _ => None,
    }
}

/// Waiting may end early: by a signal, by the time, or because completions must be taken first.
fn interrupted_is_fine(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_name() {
        for (number, op) in OPS.into_iter().enumerate() {
            assert_eq!(op as usize, number);
        }
        assert_eq!(name(Op::Receive, 0x00ab_cdef, 0x1234_5678), 0x01ab_cdef_1234_5678);
    }

    #[test]
    fn addresses_of_both_families_are_read() {
        let mut four = [0; ADDRESS_BYTES];
        four[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        four[2..8].copy_from_slice(&[0x14, 0x66, 192, 0, 2, 1]);
        assert_eq!(read_address(&four), Some("192.0.2.1:5222".parse().expect("an address")));
        let mut six = [0; ADDRESS_BYTES];
        six[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        six[2..4].copy_from_slice(&[0x14, 0x66]);
        six[23] = 1;
        assert_eq!(read_address(&six), Some("[::1]:5222".parse().expect("an address")));
        assert_eq!(read_address(&[0; ADDRESS_BYTES]), None);
    }
}
