//! The socket file: only its owner may connect, and only one server may hold it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers on it.
    #[error("{}: another server is running on this data directory; stop it or use another", .0.display())]
    Running(PathBuf),
    /// The kernel refused.
    #[error("{}: cannot open the socket for `jackdaw user`: {source}", socket.display())]
    Io {
        /// The socket file.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Opens the socket at `path`, in a directory of mode 0700 that is made if missing. The file of a
/// server that is gone is replaced.
pub async fn bind(path: &Path) -> Result<UnixListener, BindError> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(BindError::Running(path.into()));
    }
    open(path).map_err(|source| BindError::Io { socket: path.into(), source })
}

fn open(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Between `bind` and the permissions below, the directory keeps strangers out.
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}
