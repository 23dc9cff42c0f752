//! Stock llama-server, which answers with the target alone.

use crate::harness::{Folder, TARGET};
use crate::server::{LONG, Server};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The program and the models that it is given.
pub struct Stock {
    program: PathBuf,
    models: [String; 2],
}

impl Stock {
    /// The one that the environment names, with the target of `flags` or the embedded one.
    pub fn named(flags: &[&str]) -> Option<Self> {
        let program = PathBuf::from(std::env::var_os("LLAMA_SERVER")?);
        let joined = flags.iter().find(|flag| flag.starts_with("--m") && flag.contains('='));
        assert!(joined.is_none(), "stock llama-server needs the models' flags as --flag VALUE, not {joined:?}");
        let value = |names: [&str; 2], default: &str| {
            let at = flags.iter().position(|flag| names.contains(flag));
            at.map_or(default, |at| flags.get(at + 1).expect("a path")).to_owned()
        };
        let models = [value(["-m", "--model"], TARGET[0]), value(["-mm", "--mmproj"], TARGET[1])];
        Some(Self { program, models })
    }

    /// A server for `n_parallel` requests at once with `n_context` tokens each, ready.
    pub fn start(&self, n_parallel: usize, n_context: usize) -> Server {
        let folder = Folder::new();
        let address = free_address();
        let port = address.rsplit(':').next().unwrap();
        let [model, mmproj] = &self.models;
        let (slots, context) = (n_parallel.to_string(), (n_context * n_parallel).to_string());
        let log = File::create(folder.path().join("server.log")).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["--port", port, "-m", model, "--mmproj", mmproj, "-t", "2", "-np", &slots, "-c", &context]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program.display()));
        let mut server = Server::at(address, child, folder);
        wait_until_open(&mut server);
        server.wait_until_ready();
        server
    }
}

/// One that nothing listened at just now.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// It does not say when it listens.
fn wait_until_open(server: &mut Server) {
    let start = Instant::now();
    while TcpStream::connect(&server.address).is_err() {
        assert!(server.child.try_wait().unwrap().is_none(), "it ended: {}", server.log());
        assert!(start.elapsed() < LONG, "it never listens: {}", server.log());
        sleep(Duration::from_millis(5));
    }
}
