//! A network between an engine and its database that can lose what it carries, or keep it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

/// What becomes of bytes that are carried from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They arrive.
    Through,
    /// Requests arrive, answers do not.
    NoAnswers,
    /// Requests are kept.
    Held,
}

/// One connection, both ends of it.
struct Link {
    number: usize,
    client: UnixStream,
    server: UnixStream,
    /// Requests that were kept.
    held: Vec<u8>,
}

struct State {
    way: Way,
    /// How many connections there were.
    count: usize,
    links: Vec<Link>,
    answered: Vec<u8>,
}

/// A socket that looks like PostgreSQL's.
pub struct Proxy {
    directory: TempDir,
    state: Arc<Mutex<State>>,
}

const NAME: &str = ".s.PGSQL.5432";

impl Proxy {
    /// To the server whose socket is in this directory.
    pub fn start(server: &str) -> Proxy {
        let directory = TempDir::new().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(NAME)).expect("a socket");
        let state = State { way: Way::Through, count: 0, links: Vec::new(), answered: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let (shared, server) = (Arc::clone(&state), format!("{server}/{NAME}"));
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let server = UnixStream::connect(&server).expect("the database listens");
                link(client, server, &shared);
            }
        });
        Proxy { directory, state }
    }

    pub fn dsn(&self, database: &str) -> String {
        let socket = self.directory.path().to_str().expect("text").replace('/', "%2F");
        format!("postgresql://jackdaw@{socket}/{database}")
    }

    pub fn set(&self, way: Way) {
        self.state().way = way;
    }

    /// How many bytes are kept.
    pub fn held(&self) -> usize {
        self.state().links.iter().map(|link| link.held.len()).sum()
    }

    /// Delivers what was kept.
    pub fn release(&self) {
        for link in &mut self.state().links {
            let held = std::mem::take(&mut link.held);
            (&link.server).write_all(&held).ok();
        }
    }

    /// Ends every connection there is. What is kept is lost.
    pub fn cut(&self) {
        for link in self.state().links.drain(..) {
            link.client.shutdown(Shutdown::Both).ok();
            link.server.shutdown(Shutdown::Both).ok();
        }
    }

    /// Whether the database has said this to anybody, heard or not.
    pub fn has_answered(&self, text: &str) -> bool {
        self.state().answered.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no one panics with the state")
    }
}

/// Carries both ways until either end is done. The way to the server stays open when the client
/// goes: what the network keeps it may deliver whenever it likes.
fn link(client: UnixStream, server: UnixStream, shared: &Arc<Mutex<State>>) {
    let both = |stream: &UnixStream| stream.try_clone().expect("a second handle");
    let number = {
        let mut state = shared.lock().expect("no one panics with the state");
        state.count += 1;
        let (number, held) = (state.count, Vec::new());
        state.links.push(Link { number, client: both(&client), server: both(&server), held });
        number
    };
    let (state, mut from, mut to) = (Arc::clone(shared), both(&client), both(&server));
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let mut state = state.lock().expect("no one panics with the state");
            let is_held = state.way == Way::Held;
            match state.links.iter_mut().find(|link| link.number == number) {
                Some(link) if is_held || !link.held.is_empty() => {
                    link.held.extend_from_slice(&bytes[..count]);
                }
                _ => drop(to.write_all(&bytes[..count])),
            }
        }
    });
    let (state, mut from, mut to) = (Arc::clone(shared), server, client);
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let mut state = state.lock().expect("no one panics with the state");
            state.answered.extend_from_slice(&bytes[..count]);
            if state.way != Way::NoAnswers {
                to.write_all(&bytes[..count]).ok();
            }
        }
        to.shutdown(Shutdown::Both).ok();
    });
}
