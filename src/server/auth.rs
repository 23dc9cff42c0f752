//! Keys of clients.

use super::error::ApiError;
use axum::http::{HeaderMap, StatusCode, header};
use std::fmt;

/// The keys that open the server; without any it is open to all who reach it.
#[derive(Clone, Default)]
pub struct ApiKeys {
    // Hashes are of equal length, and blake3 compares them in constant time.
    hashes: Vec<blake3::Hash>,
}

impl ApiKeys {
    /// Empty keys open nothing.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys = keys.into_iter().filter(|key| !key.is_empty());
        Self { hashes: keys.map(|key| blake3::hash(key.as_bytes())).collect() }
    }

    /// Whether the server is open to all.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether the headers hold one of the keys, as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
    ///
    /// # Errors
    /// 401.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.is_empty() {
            return Ok(());
        }
        let text = |name| headers.get(name).map(|value| value.as_bytes());
        let bearer = text(header::AUTHORIZATION.as_str()).and_then(bearer);
        let Some(key) = bearer.or_else(|| text("x-api-key")) else {
            let message = "there is no API key; send it as Authorization: Bearer KEY";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, message));
        };
        let given = blake3::hash(key);
        // All are compared, so that time does not tell which.
        let n_equal = self.hashes.iter().filter(|hash| **hash == given).count();
        if n_equal == 0 {
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "the API key is wrong; use one that the server was started with",
            ));
        }
        Ok(())
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKeys({})", self.hashes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(keys: &ApiKeys, name: &'static str, value: &'static str) -> Result<(), u16> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
        keys.check(&headers).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn one_of_the_keys_opens() {
        let keys = ApiKeys::new(["first", "second", ""]);
        assert_eq!(check(&keys, "authorization", "Bearer first"), Ok(()));
        assert_eq!(check(&keys, "authorization", "bearer  second "), Ok(()));
        assert_eq!(check(&keys, "x-api-key", "second"), Ok(()));
        for value in ["", "first", "Bearer", "Bearer ", "Bearer firs", "Bearer first,second", "Basic first"] {
            assert_eq!(check(&keys, "authorization", value), Err(401), "{value}");
        }
        assert_eq!(keys.check(&HeaderMap::new()).unwrap_err().status.as_u16(), 401);
        assert!(ApiKeys::new([""]).check(&HeaderMap::new()).is_ok(), "no keys: open");
    }
}
