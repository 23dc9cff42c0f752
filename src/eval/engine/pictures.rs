//! A sample's pictures, and what encoding them cost.

use crate::eval::data::text_of;
use crate::eval::sample::{PictureSource, Sample};
use crate::eval::scenes::Scene;
use crate::eval::{EvalError, Result};
use crate::media::{ContentId, Limits, Picture};
use crate::vlm::{Prepared, Role};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;

/// Reads or draws a sample's pictures.
///
/// # Errors
/// [`EvalError::Picture`], naming the sample.
pub fn open(sample: &Sample) -> Result<Vec<Picture>> {
    let picture = |source: &PictureSource| match source {
        PictureSource::File(path) => Picture::open(path, &Limits::default()).map_err(|error| error.to_string()),
        PictureSource::Base64(text) => decode(text),
        PictureSource::Cell(cell) => decode(&text_of(cell).map_err(|error| error.to_string())?),
        &PictureSource::Scene { seed, tiles } => {
            let drawn = Scene::new(seed, tiles).render();
            Picture::from_rgb(drawn.width(), drawn.height(), drawn.into_raw()).map_err(|error| error.to_string())
        }
    };
    let named = |message| EvalError::Picture { sample: sample.id.clone(), message };
    sample.pictures.iter().map(|source| picture(source).map_err(named)).collect()
}

fn decode(base64: &str) -> std::result::Result<Picture, String> {
    let text: Vec<u8> = base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(text).map_err(|error| format!("its base64 text is damaged: {error}"))?;
    Picture::decode(&bytes, &Limits::default()).map_err(|error| error.to_string())
}

/// Times of the vision encoders. Pictures come back with other questions; their encoder outputs are still there then, and
/// this is what they cost the first time.
#[derive(Default)]
pub(super) struct EncodeTimes {
    known: HashMap<(bool, Vec<ContentId>), f64>,
}

impl EncodeTimes {
    pub fn of(&mut self, role: Role, pictures: &[Picture], prepared: &Prepared) -> f64 {
        let ms = prepared.encode_ms.unwrap_or(0.0);
        let key = (role == Role::Guide, pictures.iter().map(Picture::content_id).collect());
        if prepared.n_reused == 0 {
            self.known.insert(key, ms);
            return ms;
        }
        self.known.get(&key).copied().unwrap_or(ms)
    }
}
