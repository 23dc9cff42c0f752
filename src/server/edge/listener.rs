//! TCP and Unix sockets as one.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// Where connections come in.
pub enum Listener {
    /// An address and a port.
    Tcp(TcpListener),
    /// A socket in the file system, removed with this.
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// The file of a socket.
pub struct SocketFile {
    path: PathBuf,
}

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    /// Listens at the first address that works.
    ///
    /// # Errors
    /// The system's.
    pub async fn tcp(host: &str, port: u16) -> io::Result<Self> {
        TcpListener::bind((host, port)).await.map(Self::Tcp)
    }

    /// Listens at a path. A socket that nobody listens at any more is replaced; its file is for its owner alone.
    ///
    /// # Errors
    /// The system's, also where something else is there.
    #[cfg(unix)]
    pub fn unix(path: &Path) -> io::Result<Self> {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        let is_socket = path.symlink_metadata().is_ok_and(|facts| facts.file_type().is_socket());
        if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self::Unix(listener, SocketFile { path: path.to_owned() }))
    }

    /// As clients write it: `http://127.0.0.1:8080`, or `unix:PATH`.
    pub fn url(&self) -> String {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(_) => "http://".to_owned(),
            },
            #[cfg(unix)]
            Self::Unix(_, file) => format!("unix:{}", file.path.display()),
        }
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Tokens are small, and each is waited for.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

macro_rules! of_either {
    ($stream:expr, $method:ident $(, $argument:expr)*) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        of_either!(self, poll_read, context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        of_either!(self, poll_write, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, poll_shutdown, context)
    }
}
