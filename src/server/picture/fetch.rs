//! Pictures from the web, for servers that allow it.
//!
//! Names are resolved here and connections are made to the addresses that were checked, also after a redirect: a name that
//! means something else when it is asked again reaches nothing. ureq asks its resolver for addresses that are written out too,
//! and uses no proxy here.

use crate::server::error::ApiError;
use axum::http::StatusCode;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

/// What fetching a picture may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteLimits {
    /// From the first packet to the last byte, redirects included.
    pub timeout: Duration,
    /// Redirects that are followed.
    pub max_redirects: u32,
}

impl Default for RemoteLimits {
    /// 10 seconds, 3 redirects.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), max_redirects: 3 }
    }
}

/// Fetches pictures.
pub struct Fetcher {
    agent: Agent,
    limits: RemoteLimits,
}

impl Fetcher {
    /// `is_allowed` says which addresses may be connected to.
    pub fn new(limits: &RemoteLimits, is_allowed: fn(IpAddr) -> bool) -> Self {
        let config = Agent::config_builder()
            .max_redirects(limits.max_redirects)
            .timeout_global(Some(limits.timeout))
            .proxy(None)
            .max_idle_connections(0)
            .user_agent(concat!("sgl/", env!("CARGO_PKG_VERSION")))
            .accept("image/*")
            .build();
        let guard = Guard { resolver: DefaultResolver::default(), is_allowed };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), guard), limits: *limits }
    }

    /// The bytes behind a URL, at most `max_bytes` of them and within `time_left`.
    ///
    /// # Errors
    /// 400, 413 or 504.
    pub fn get(&self, url: &str, max_bytes: u64, time_left: Duration) -> Result<Vec<u8>, ApiError> {
        let timeout = self.limits.timeout.min(time_left);
        let asked = self.agent.get(url).config().timeout_global(Some(timeout)).build();
        let body = asked.call().and_then(|mut response| {
            let length = response.body().content_length().unwrap_or_default();
            if length > max_bytes {
                Err(Error::BodyExceedsLimit(max_bytes))
            } else {
                response.body_mut().with_config().limit(max_bytes).read_to_vec()
            }
        });
        body.map_err(|error| self.told(error, max_bytes, timeout))
    }

    fn told(&self, error: Error, max_bytes: u64, timeout: Duration) -> ApiError {
        let max_redirects = self.limits.max_redirects;
        let (status, message) = match error {
            Error::Timeout(_) => {
                let seconds = timeout.as_secs_f64();
                (
                    StatusCode::GATEWAY_TIMEOUT,
                    format!("the picture did not come within {seconds} s; send it as a data URL"),
                )
            }
            Error::BodyExceedsLimit(_) => {
                let message = format!("the picture is larger than {max_bytes} bytes; shrink it or raise the limit");
                (StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            Error::TooManyRedirects => {
                let message = format!("the picture's URL redirects more than {max_redirects} times; name the last one");
                (StatusCode::BAD_REQUEST, message)
            }
            Error::StatusCode(code) => {
                (StatusCode::BAD_REQUEST, format!("the picture's server answers {code}; check the URL"))
            }
            Error::Other(error) if error.is::<Refused>() => (StatusCode::BAD_REQUEST, error.to_string()),
            error => (StatusCode::BAD_REQUEST, format!("the picture cannot be fetched: {error}; check the URL")),
        };
        ApiError::new(status, message)
    }
}

/// Resolves names and refuses addresses.
#[derive(Debug)]
struct Guard {
    resolver: DefaultResolver,
    is_allowed: fn(IpAddr) -> bool,
}

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let resolved = self.resolver.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in resolved.iter().filter(|address| (self.is_allowed)(address.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() {
            let host = uri.host().unwrap_or_default().to_owned();
            return Err(Error::Other(Box::new(Refused { host })));
        }
        Ok(allowed)
    }
}

/// A host inside the server's own network.
#[derive(Debug)]
struct Refused {
    host: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is no public address, and pictures come from public ones only; send a data URL",
            self.host
        )
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
