//! Whether two projector files hold the same vision tower.

use super::{GgufError, Header, Tensor};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Tensors of the tower: clip.cpp's names for what stands ahead of the projector. Newlines and the like between tiles are the
/// projector's, since they have the width of the text model.
fn is_tower(name: &str) -> bool {
    name.starts_with("v.") && !["v.image_newline", "v.view_seperator"].iter().any(|other| name.starts_with(other))
}

impl Header {
    /// Whether both files hold the same vision tower, settings and weights, whatever their projectors. Read to the first
    /// difference.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn same_tower(&self, other: &Self) -> Result<bool, GgufError> {
        if self.vision_settings().is_empty() || self.vision_settings() != other.vision_settings() {
            return Ok(false);
        }
        let tower = |header: &Self| -> Vec<(String, Tensor)> {
            let tensors = header.tensors().filter(|(name, _)| is_tower(name));
            tensors.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
        };
        let (ours, theirs) = (tower(self), tower(other));
        let alike = |((name, tensor), (other_name, other)): (&(String, Tensor), &(String, Tensor))| {
            name == other_name && tensor.dims == other.dims && tensor.kind == other.kind
        };
        if ours.is_empty() || ours.len() != theirs.len() || !ours.iter().zip(&theirs).all(alike) {
            return Ok(false);
        }
        let (mut one, mut two) = (self.open()?, other.open()?);
        for ((_, tensor), (_, twin)) in ours.iter().zip(&theirs) {
            let same = same_bytes(
                (&mut one, self.data_start() + tensor.offset),
                (&mut two, other.data_start() + twin.offset),
                tensor.bytes,
            );
            if !same.map_err(|source| GgufError::read(other.path(), source))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn open(&self) -> Result<BufReader<File>, GgufError> {
        let file = File::open(self.path()).map_err(|source| GgufError::read(self.path(), source))?;
        Ok(BufReader::new(file))
    }
}

fn same_bytes<R: Read + Seek>(one: (&mut R, u64), two: (&mut R, u64), n_bytes: u64) -> std::io::Result<bool> {
    const PART: usize = 1 << 20;
    let ((one, at), (two, twin_at)) = (one, two);
    one.seek(SeekFrom::Start(at))?;
    two.seek(SeekFrom::Start(twin_at))?;
    let (mut left, mut right) = (vec![0; PART], vec![0; PART]);
    let mut rest = n_bytes;
    while rest > 0 {
        let n = PART.min(usize::try_from(rest).unwrap_or(PART));
        one.read_exact(&mut left[..n])?;
        two.read_exact(&mut right[..n])?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
        rest -= n as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{Family, TextShape, write};
    use crate::gguf::{Header, WeightType};
    use std::path::{Path, PathBuf};

    /// The mmproj of a tiny model for a text model of this width.
    fn mmproj(dir: &Path, family: Family, width: u64, seed: u64) -> PathBuf {
        let dir = dir.join(format!("{}-{width}-{seed}", family.name()));
        std::fs::create_dir(&dir).unwrap();
        let mut shape = family.tiny();
        shape.text = TextShape { width, ..shape.text };
        write(family, &shape, seed, WeightType::F16, &dir).unwrap().mmproj
    }

    #[test]
    fn a_tower_is_known_by_its_weights_whatever_its_projector() {
        let dir = tempfile::tempdir().unwrap();
        for family in [Family::Gemma3, Family::InternVlQwen2, Family::Llava15] {
            let file = |width, seed| Header::read(&mmproj(dir.path(), family, width, seed)).unwrap();
            let (small, large, other) = (file(128, 1), file(256, 1), file(128, 2));
            assert!(small.same_tower(&large).unwrap() && large.same_tower(&small).unwrap(), "{}", family.name());
            assert!(!small.same_tower(&other).unwrap(), "{}", family.name());
        }
    }

    #[test]
    fn a_changed_bit_or_setting_makes_another_tower() {
        let dir = tempfile::tempdir().unwrap();
        let path = mmproj(dir.path(), Family::InternVlQwen2, 128, 1);
        let whole = std::fs::read(&path).unwrap();
        let header = Header::read(&path).unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Header::read(&path).unwrap()
        };
        let mut changed = whole.clone();
        let tensor = header.tensor("v.blk.1.ffn_down.weight").unwrap();
        changed[(header.data_start() + tensor.offset + tensor.bytes) as usize - 1] ^= 1;
        assert!(!header.same_tower(&write("bit.gguf", &changed)).unwrap());

        let key = b"clip.vision.attention.head_count";
        let at = whole.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
        let mut changed = whole.clone();
        changed[at] = 1;
        assert!(!header.same_tower(&write("heads.gguf", &changed)).unwrap());
        assert!(header.same_tower(&write("same.gguf", &whole)).unwrap());
    }

    #[test]
    fn text_models_have_no_tower() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let text = Header::read(&models.join("guide.gguf")).unwrap();
        assert!(!text.same_tower(&text).unwrap());
    }
}
