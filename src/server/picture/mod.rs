//! Pictures that a request names: data URLs and base64, files under one folder, and, where that is allowed, the web.

mod address;
mod fetch;
mod file;
mod source;

pub use fetch::RemoteLimits;
pub use source::PictureSource;

use super::error::ApiError;
use super::request::PictureRef;
use crate::media::{Limits, MediaError, Picture};
use axum::http::StatusCode;
use fetch::Fetcher;
use std::path::PathBuf;
use std::time::Instant;

/// Where pictures may come from, and what they may cost.
#[derive(Debug, Clone)]
pub struct PictureOptions {
    /// Pictures of a request.
    pub max_pictures: usize,
    /// Bytes of each, and pixels of all of them together.
    pub limits: Limits,
    /// The folder that `file://` stands for; `None`: no files.
    pub media_path: Option<PathBuf>,
    /// `None`: nothing is fetched.
    pub remote: Option<RemoteLimits>,
}

/// Reads pictures under these options.
pub struct Pictures {
    options: PictureOptions,
    fetcher: Option<Fetcher>,
}

impl Pictures {
    /// Ready to read.
    pub fn new(options: PictureOptions) -> Self {
        let fetcher = options.remote.as_ref().map(|limits| Fetcher::new(limits, address::is_public));
        Self { options, fetcher }
    }

    /// Reads the pictures of a request, in order. Blocks, and begins with none after the deadline.
    ///
    /// # Errors
    /// 400, naming the picture's field; 413 where one is too large; 504 where one takes too long to come.
    pub fn read(&self, pictures: &[PictureRef], deadline: Instant) -> Result<Vec<Picture>, ApiError> {
        let PictureOptions { max_pictures, .. } = self.options;
        if let Some(first) = pictures.get(max_pictures) {
            let n = pictures.len();
            let message = format!("the request has {n} pictures, over the limit of {max_pictures}; send fewer");
            return Err(ApiError::field(first.param.clone(), message));
        }
        let mut left = self.options.limits;
        let mut read = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let picture = self.read_one(picture, &left, deadline)?;
            left.max_pixels -= u64::from(picture.width()) * u64::from(picture.height());
            read.push(picture);
        }
        Ok(read)
    }

    fn read_one(&self, picture: &PictureRef, limits: &Limits, deadline: Instant) -> Result<Picture, ApiError> {
        let PictureRef { url, param, .. } = picture;
        let time_left = deadline.saturating_duration_since(Instant::now());
        if time_left.is_zero() {
            let message = "no time was left for this picture; send fewer, or smaller ones";
            return Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, message).in_field(param));
        }
        let named = |error: MediaError| media(param, &error);
        match PictureSource::parse(url, limits.max_bytes).map_err(|error| error.in_field(param))? {
            PictureSource::Inline(bytes) => Picture::decode(&bytes, limits).map_err(named),
            PictureSource::File(path) => {
                let off = "files are not read by this server; send a data URL, or start it with --media-path";
                let root = self.options.media_path.as_ref().ok_or_else(|| ApiError::field(param, off))?;
                let file = file::open(root, &path).map_err(|message| ApiError::field(param, message))?;
                Picture::read(file, limits).map_err(named)
            }
            PictureSource::Remote(url) => {
                let off =
                    "pictures are not fetched by this server; send a data URL, or start it with --allow-remote-media";
                let fetcher = self.fetcher.as_ref().ok_or_else(|| ApiError::field(param, off))?;
                let bytes = fetcher.get(&url, limits.max_bytes, time_left).map_err(|error| error.in_field(param))?;
                Picture::decode(&bytes, limits).map_err(named)
            }
        }
    }
}

fn media(param: &str, error: &MediaError) -> ApiError {
    let status = match error {
        MediaError::TooManyBytes { .. } | MediaError::TooManyPixels { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    ApiError { status, ..ApiError::field(param, error) }
}

impl ApiError {
    fn in_field(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }
}

#[cfg(test)]
mod tests;
