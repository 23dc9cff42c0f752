use super::*;
use crate::server::picture::address::is_public;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// Time that is left to a request.
const LONG: Duration = Duration::from_secs(60);

/// A server that answers each connection in turn with what `answer` makes of its number.
fn server(answer: impl Fn(usize, SocketAddr) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            stream.write_all(answer(number, address).as_bytes()).ok();
        }
    });
    address
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn limits() -> RemoteLimits {
    RemoteLimits { timeout: Duration::from_secs(5), max_redirects: 2 }
}

fn anywhere(_: IpAddr) -> bool {
    true
}

#[test]
fn pictures_come_and_redirects_are_followed() {
    let address =
        server(|number, address| if number < 2 { redirect(&format!("http://{address}/next")) } else { ok("picture") });
    let fetcher = Fetcher::new(&limits(), anywhere);
    assert_eq!(fetcher.get(&format!("http://{address}/a.png"), 100, LONG), Ok(b"picture".to_vec()));
}

#[test]
fn near_addresses_are_refused_by_any_name() {
    let address = server(|_, _| ok("secret"));
    let port = address.port();
    let fetcher = Fetcher::new(&limits(), is_public);
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1", "127.1"] {
        let error = fetcher.get(&format!("http://{host}:{port}/a.png"), 100, LONG).unwrap_err();
        assert_eq!(error.status.as_u16(), 400, "{host}: {error:?}");
        assert!(!error.message.contains("secret"));
    }
}

#[test]
fn redirects_to_near_addresses_are_refused() {
    // 127.0.0.1 is allowed here and 127.0.0.2 is not.
    fn first_alone(address: IpAddr) -> bool {
        address == IpAddr::from([127, 0, 0, 1])
    }
    let address = server(|_, address| redirect(&format!("http://127.0.0.2:{}/", address.port())));
    let error = Fetcher::new(&limits(), first_alone).get(&format!("http://{address}/"), 100, LONG).unwrap_err();
    assert!(error.message.starts_with("127.0.0.2 is no public address"), "{error:?}");
}

#[test]
fn size_time_and_redirects_have_limits() {
    let fetcher = Fetcher::new(&RemoteLimits { timeout: Duration::from_millis(300), max_redirects: 2 }, anywhere);
    let address = server(|_, _| ok(&"x".repeat(101)));
    assert_eq!(fetcher.get(&format!("http://{address}/"), 100, LONG).unwrap_err().status.as_u16(), 413);
    let address = server(|_, _| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(101)));
    assert_eq!(fetcher.get(&format!("http://{address}/"), 100, LONG).unwrap_err().status.as_u16(), 413);
    let address = server(|_, address| redirect(&format!("http://{address}/")));
    let error = fetcher.get(&format!("http://{address}/"), 100, LONG).unwrap_err();
    assert!(error.message.contains("redirects more than 2 times"), "{error:?}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = fetcher.get(&format!("http://{}/", silent.local_addr().unwrap()), 100, LONG).unwrap_err();
    assert_eq!(error.status.as_u16(), 504);
    // What is left of the request's own time counts, too.
    let patient = Fetcher::new(&RemoteLimits { timeout: LONG, max_redirects: 2 }, anywhere);
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let error = patient.get(&url, 100, Duration::from_millis(300)).unwrap_err();
    assert!(error.status.as_u16() == 504 && error.message.contains("within 0.3 s"), "{error:?}");
    let address = server(|_, _| "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned());
    assert!(fetcher.get(&format!("http://{address}/"), 100, LONG).unwrap_err().message.contains("404"));
    assert_eq!(fetcher.get("http://", 100, LONG).unwrap_err().status.as_u16(), 400);
}
