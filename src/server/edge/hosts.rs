//! By which names the server is asked. A web page from elsewhere can have its own name lead to this machine (DNS rebinding), and
//! is then of the server's own origin: a server that this machine alone reaches answers to no name but its own.

use super::Listener;
use crate::server::error::ApiError;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The names that a server answers to.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// Lower case; `None`: all.
    names: Option<Arc<[String]>>,
}

impl Hosts {
    /// All names.
    pub fn all() -> Self {
        Self::default()
    }

    /// These names beside addresses and `localhost`, where the server listens to this machine alone; `*`: all.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Arc<[String]> = names.into_iter().map(str::to_ascii_lowercase).collect();
        let are_all = names.iter().any(|name| name == "*");
        Self { names: (!are_all).then_some(names) }
    }

    /// What holds at a listener: one that other machines reach has names that it does not know.
    pub(super) fn at(self, listener: &Listener) -> Self {
        if listener.address().is_some_and(|address| address.ip().is_loopback()) { self } else { Self::all() }
    }

    /// Whether a request is meant for this server. One that names no host is no browser's.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check(&self, request: &Request) -> Result<(), ApiError> {
        let Some(names) = &self.names else { return Ok(()) };
        let header = request.headers().get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let asked = request.uri().authority().map(|host| host.as_str().into()).or(header);
        let is_ours = |name: &str| {
            let name = name.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost") || names.contains(&name) || is_address(&name)
        };
        match asked.as_deref().map(without_port) {
            Some(name) if !is_ours(name) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                format!("this server is not known as {name}; start it with --allowed-host {name} if it should be"),
            )),
            _ => Ok(()),
        }
    }
}

/// `name:80`, `[::1]:80` and both without port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_address(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    inner.unwrap_or(name).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn status(hosts: &Hosts, host: &str) -> u16 {
        let request = Request::builder().uri("/health").header(header::HOST, host).body(Body::empty()).unwrap();
        hosts.check(&request).map_or_else(|error| error.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_server_knows_its_names() {
        let hosts = Hosts::named(["Desk", "models.example"]);
        for ours in ["127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "[::1]", "10.0.0.2", "LocalHost:80", "a.localhost"] {
            assert_eq!(status(&hosts, ours), 200, "{ours}");
        }
        for ours in ["desk:8080", "DESK", "models.example"] {
            assert_eq!(status(&hosts, ours), 200, "{ours}");
        }
        for other in
            ["evil.example:8080", "evil.example", "localhost.evil.example", "notlocalhost", "1.2.3.4.evil", "", ":80"]
        {
            assert_eq!(status(&hosts, other), 403, "{other}");
        }
        assert_eq!(status(&Hosts::named(["*"]), "evil.example"), 200);
        assert_eq!(status(&Hosts::all(), "evil.example"), 200);
    }

    #[test]
    fn the_target_of_a_request_comes_before_its_header() {
        let request = |uri| Request::builder().uri(uri).header(header::HOST, "localhost").body(Body::empty()).unwrap();
        let hosts = Hosts::named([]);
        assert!(hosts.check(&request("http://evil.example/health")).is_err());
        assert!(hosts.check(&request("http://localhost:1/health")).is_ok());
        assert!(hosts.check(&Request::builder().uri("/health").body(Body::empty()).unwrap()).is_ok(), "no browser");
    }

    #[tokio::test]
    async fn names_count_where_this_machine_alone_listens() {
        let names = || Hosts::named([]);
        let local = Listener::tcp("127.0.0.1", 0).await.unwrap();
        assert_eq!(status(&names().at(&local), "evil.example"), 403);
        let open = Listener::tcp("0.0.0.0", 0).await.unwrap();
        assert_eq!(status(&names().at(&open), "evil.example"), 200);
    }
}
