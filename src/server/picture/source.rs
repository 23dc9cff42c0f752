//! What the text of `image_url.url` means.

use crate::server::error::ApiError;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Where a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureSource {
    /// Here: the bytes of a file.
    Inline(Vec<u8>),
    /// Behind `file://`.
    File(String),
    /// Behind `http://` or `https://`.
    Remote(String),
}

/// With padding or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl PictureSource {
    /// Understands a URL, or base64 without one. At most `max_bytes` are decoded.
    ///
    /// # Errors
    /// 400: it is neither. 413: it is too long.
    pub fn parse(url: &str, max_bytes: u64) -> Result<Self, ApiError> {
        let url = url.trim();
        let Some((scheme, rest)) = url.split_once(':') else {
            return decode(url, max_bytes, "this is neither a URL nor base64").map(Self::Inline);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "data" => data(rest, max_bytes).map(Self::Inline),
            "http" | "https" => Ok(Self::Remote(url.to_owned())),
            "file" => match rest.strip_prefix("//") {
                Some(path) => Ok(Self::File(path.to_owned())),
                None => Err(bad("a file URL starts with file://; write file://NAME")),
            },
            _ => Err(bad("this kind of URL is not read; send a data URL, https://, or file://")),
        }
    }
}

/// What follows `data:`.
fn data(rest: &str, max_bytes: u64) -> Result<Vec<u8>, ApiError> {
    let (header, body) =
        rest.split_once(',').ok_or_else(|| bad("the data URL has no comma; write data:image/png;base64,..."))?;
    let is_base64 = header.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    if !is_base64 {
        return Err(bad("the data URL is not base64; write data:image/png;base64,..."));
    }
    decode(body, max_bytes, "the data URL is no base64")
}

fn decode(text: &str, max_bytes: u64, problem: &str) -> Result<Vec<u8>, ApiError> {
    if text.len() as u64 / 4 * 3 > max_bytes.saturating_add(3) {
        let message = format!("the picture is larger than {max_bytes} bytes; shrink it or raise the limit");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    // Encoders break lines.
    let is_broken = text.bytes().any(|byte| byte.is_ascii_whitespace());
    let joined: String;
    let text = if is_broken {
        joined = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        &joined
    } else {
        text
    };
    BASE64.decode(text).map_err(|error| bad(&format!("{problem}: {error}; send data:image/png;base64,...")))
}

fn bad(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(url: &str) -> Result<PictureSource, u16> {
        PictureSource::parse(url, 1000).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn urls_say_where_the_picture_is() {
        let here = Ok(PictureSource::Inline(b"hello".to_vec()));
        for url in [
            "data:image/png;base64,aGVsbG8=",
            "data:;base64,aGVsbG8",
            "DATA:image/png;charset=x;BASE64,aGVs\r\nbG8=",
            "aGVsbG8=",
            " aGVsbG8\n",
        ] {
            assert_eq!(parse(url), here, "{url}");
        }
        assert_eq!(parse("https://a.b/c.png"), Ok(PictureSource::Remote("https://a.b/c.png".into())));
        assert_eq!(parse("file://a/b.png"), Ok(PictureSource::File("a/b.png".into())));
        for url in [
            "data:image/png",
            "data:image/png,abc",
            "data:;base64,!!",
            "ftp://a",
            "file:a",
            "not base64!",
            "blob:x",
            ":",
        ] {
            assert_eq!(parse(url), Err(400), "{url}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_decoded() {
        assert_eq!(parse(&"A".repeat(4000)), Err(413));
        assert!(parse(&"A".repeat(1332)).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(url in "(data:|file:|https?:|data:image/png;base64,)?.{0,60}") {
            parse(&url).ok();
        }

        #[test]
        fn bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let url = format!("data:image/png;base64,{}", BASE64.encode(&bytes));
            prop_assert_eq!(parse(&url), Ok(PictureSource::Inline(bytes)));
        }
    }
}
