//! Flags, environment and file; where a server listens.

use super::server::{Server, rest};
use crate::harness::{Folder, sgl};
use serde_json::json;

#[test]
fn file_environment_and_flags() {
    let folder = Folder::new();
    folder.write("serve.toml", b"alias = \"of the file\"\nretain = \"50%\"\nmax-tokens = 7\nparallel = 2\n");
    let server = Server::begin_in(
        folder,
        &["--config", "serve.toml", "--parallel", "3"],
        &[("SGL_MAX_TOKENS", "9"), ("SGL_RETAIN", "0.125")],
    );
    server.wait_until_ready();
    let props = server.get("/props").ok();
    assert_eq!(props["model_alias"], "of the file");
    assert_eq!((&props["sgl"]["max_tokens"], &props["sgl"]["retain"]), (&json!(9), &json!("0.125")), "environment");
    assert_eq!(props["total_slots"], 3, "flag");
}

#[test]
fn the_configuration_is_printed() {
    let printed = sgl(&["serve", "--print-config", "--port", "9", "--api-key", "hidden"]).ok().stdout;
    assert!(printed.contains("port = 9\n") && printed.contains("host = \"127.0.0.1\"\n"), "{printed}");
    assert!(!printed.contains("hidden"), "{printed}");
}

#[test]
fn what_cannot_work_is_told_at_once() {
    let folder = Folder::new();
    folder.write("serve.toml", b"prot = 1\n");
    folder.write("keys", b"\n\n");
    let serve = |flags: &[&str]| folder.run_with(&[&["serve", "--port", "0"], flags].concat(), |command| command);
    serve(&["--config", "serve.toml"]).failed(2, "there is no flag prot");
    serve(&["--config", "none.toml"]).failed(3, "none.toml");
    serve(&["--media-path", "none"]).failed(3, "none is no folder");
    serve(&["--api-key-file", "keys"]).failed(3, "there is no key");
    serve(&["--host", "no.such.host.invalid"]).failed(7, "cannot listen on no.such.host.invalid");
    serve(&["--parallel", "0"]).failed(2, "");
    for more in [&[][..], &["--no-supervise"]] {
        let ran = serve(&[&["-m", "none.gguf", "--mmproj", "none.gguf"], more].concat());
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("none.gguf"), "{ran:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    serve(&["--port", &port]).failed(7, "choose another with --port");
}

#[cfg(unix)]
#[test]
fn a_socket_in_the_file_system() {
    use super::server::until;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    for flags in [&[][..], &["--no-supervise"]] {
        let folder = Folder::new();
        let path = folder.at("sgl.sock");
        // One that was left behind is replaced.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let mut server = Server::begin_in(folder, &[&["--unix", "sgl.sock"], flags].concat(), &[]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        until("the server is ready", || {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
            text.starts_with("HTTP/1.1 200")
        });
        server.signal(rustix::process::Signal::TERM);
        assert!(server.ended().success(), "{}", server.log());
        assert!(!std::path::Path::new(&path).exists());
    }
}

#[test]
fn other_names_that_lead_here_are_refused() {
    let refused = |flags: &[&str], host: &str| {
        let server = Server::begin(flags);
        let mut stream = server.connect();
        let request = format!("GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let answer = rest(stream);
        assert_eq!(answer.starts_with("HTTP/1.1 403"), answer.contains("--allowed-host"), "{answer}");
        answer.starts_with("HTTP/1.1 403")
    };
    assert!(refused(&[], "evil.example"));
    assert!(refused(&["--no-supervise"], "evil.example:8080"));
    assert!(!refused(&[], "localhost:8080"));
    assert!(!refused(&["--allowed-host", "desk,models.example"], "models.example"));
    assert!(!refused(&["--api-key", "secret"], "evil.example"), "a page has no key");
}
