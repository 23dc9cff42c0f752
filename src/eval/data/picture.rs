//! Where a question's pictures are. Nothing is decoded here; a size is read from a file's header where a box needs it.

use std::collections::HashMap;
use std::io::{BufRead, Cursor, Seek};
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use super::error::DataError;
use super::record::Record;
use super::table::text_of;
use crate::eval::sample::PictureSource;

/// Folders that pictures may lie in.
pub(super) struct Pictures {
    roots: Vec<PathBuf>,
    /// Sizes that were read, since several boxes may lie in one picture.
    sizes: HashMap<PathBuf, (u32, u32)>,
}

impl Pictures {
    /// `dir`, the `folders` below it, and the folder that it is in: JSONL files name pictures from there.
    pub(super) fn below(dir: &Path, folders: &[&str]) -> Self {
        let mut roots = vec![dir.to_owned()];
        roots.extend(folders.iter().map(|folder| dir.join(folder)));
        roots.push(dir.join(".."));
        Self { roots, sizes: HashMap::new() }
    }

    /// The file called `name`; leading folders of `name` that do not exist here are left out, so that
    /// `data/gqa/images/1.jpg` is found as `images/1.jpg`.
    pub(super) fn file(&self, record: &Record, name: &str) -> Result<PictureSource, DataError> {
        self.find(name).map(PictureSource::File).ok_or_else(|| {
            let folders: Vec<String> = self.roots.iter().map(|root| format!("`{}`", root.display())).collect();
            DataError::NoPicture { place: record.place.clone(), picture: name.to_owned(), folders: folders.join(", ") }
        })
    }

    /// The first of several names under which there is a file.
    pub(super) fn first_of(&self, record: &Record, names: &[String]) -> Result<PictureSource, DataError> {
        let found = names.iter().find_map(|name| self.find(name)).map(PictureSource::File);
        found.map_or_else(|| self.file(record, &names.join("` or `")), Ok)
    }

    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = Path::new(name);
        if path.is_absolute() && path.is_file() {
            return Some(path.to_owned());
        }
        let parts: Vec<Component<'_>> =
            path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir)).collect();
        let n_leading = 8; // of a longer path only the end is looked for
        (parts.len().saturating_sub(n_leading)..parts.len())
            .map(|start| parts.iter().skip(start).collect::<PathBuf>())
            .find_map(|end| self.roots.iter().map(|root| root.join(&end)).find(|file| file.is_file()))
    }

    /// Width and height in pixels as [`Picture::decode`](crate::media::Picture::decode) would give them, upright.
    pub(super) fn size(&mut self, record: &Record, picture: &PictureSource) -> Result<(u32, u32), DataError> {
        let cannot = |problem: String| record.problem(format!("cannot read the picture's size: {problem}"));
        match picture {
            PictureSource::File(path) => {
                if let Some(&size) = self.sizes.get(path) {
                    return Ok(size);
                }
                let file = std::fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
                let size = upright_size(std::io::BufReader::new(file)).map_err(cannot)?;
                self.sizes.insert(path.clone(), size);
                Ok(size)
            }
            PictureSource::Base64(text) => size_of(text).map_err(cannot),
            PictureSource::Cell(cell) => {
                let text = text_of(cell).map_err(|error| cannot(error.to_string()))?;
                size_of(&text).map_err(cannot)
            }
            PictureSource::Scene { .. } => Err(cannot("it is not drawn yet".to_owned())),
        }
    }
}

fn size_of(base64: &str) -> Result<(u32, u32), String> {
    let text: Vec<u8> = base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    upright_size(Cursor::new(STANDARD.decode(text).map_err(|error| error.to_string())?))
}

fn upright_size(reader: impl BufRead + Seek) -> Result<(u32, u32), String> {
    let reader = ImageReader::new(reader).with_guessed_format().map_err(|error| error.to_string())?;
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(format!("it is {width}x{height} pixels"));
    }
    Ok(match decoder.orientation().unwrap_or(Orientation::NoTransforms) {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    })
}
