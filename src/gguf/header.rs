use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

use super::GgufError;
use super::facts::{projector, text_model};
use super::metadata::Metadata;
use super::sane::{Defect, check_projector, check_text};
use super::scan::Tensor;
use super::sniff::sniff;
use super::source::Source;
use super::summary::{Kind, Projector, Split, Summary};
use super::types::file_type;

/// A checked GGUF header: all that it says fits the file, and the file is complete.
#[derive(Debug, Clone)]
pub struct Header {
    summary: Summary,
    tensors: BTreeMap<String, Tensor>,
    defect: Option<Defect>,
    layout: Layout,
    vision_settings: String,
}

/// Where the parts of a file lie, in bytes from its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The value of `general.file_type`, a number of 32 bits.
    pub file_type: Option<u64>,
    /// The table of tensors, up to `table_end`.
    pub table: u64,
    pub table_end: u64,
    /// What each tensor's data begin at a multiple of, from the first tensor's.
    pub alignment: u64,
}

impl Header {
    /// Reads the header of the file at `path`; the weights are not read.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not a little-endian GGUF file of version 2 or 3, is truncated, contradicts itself,
    /// or exceeds the limits (128 MiB of header, 64 MiB of metadata besides vocabularies, 131072 pairs or tensors).
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        // Before opening: to open a pipe is to wait for its writer.
        let metadata = fs::metadata(path).map_err(|source| GgufError::read(path, source))?;
        if !metadata.is_file() {
            return Err(GgufError::NotAFile { path: path.into() });
        }
        let file = File::open(path).map_err(|source| GgufError::read(path, source))?;
        Self::parse(path, file)
    }

    /// Reads a header from any seekable `reader`; `path` is only for messages. Errors as [`Header::read`].
    pub fn parse(path: &Path, reader: impl Read + Seek) -> Result<Self, GgufError> {
        let mut source = Source::new(path, reader)?;
        check_magic(path, &mut source)?;
        source.u32()?;
        let gguf_version = source.u32()?;
        match gguf_version {
            2 | 3 => {}
            // A small number with its bytes swapped.
            version if version != 0 && version & 0xffff == 0 => {
                return Err(GgufError::BigEndian { path: path.into() });
            }
            version => {
                return Err(GgufError::Version { path: path.into(), version });
            }
        }
        let n_tensors = source.count("tensors")?;
        let n_pairs = source.count("key-value pairs")?;
        let pairs = source.pairs(n_pairs)?;
        let file_type_position = pairs.file_type;
        let metadata = Metadata::decode(pairs).map_err(|fact| source.damaged(fact))?;
        let alignment = alignment(&metadata).map_err(|fact| source.damaged(fact))?;
        let table = source.position();
        let tensors = source.tensors(n_tensors, alignment)?;
        let layout = Layout { file_type: file_type_position, table, table_end: source.position(), alignment };

        let architecture = metadata.text("general.architecture").unwrap_or_default();
        let kind = kind(&metadata, &architecture);
        let text = match kind {
            Kind::TextModel => Some(text_model(&metadata, &architecture, &mut source)?),
            _ => None,
        };
        let projector = (kind == Kind::Projector).then(|| projector(&metadata, &tensors));
        let defect = match (&kind, &projector) {
            (Kind::TextModel, _) => {
                let vocabulary = metadata.array("tokenizer.ggml.tokens");
                let repeated = vocabulary.map(|tokens| source.repeated(tokens)).transpose()?.flatten();
                check_text(&metadata, &architecture, repeated.as_deref()).err()
            }
            (_, Some(Projector { has_vision: true, projector_type, .. })) => {
                check_projector(&metadata, projector_type.as_deref().unwrap_or_default(), &tensors).err()
            }
            _ => None,
        };
        let summary = Summary {
            path: path.into(),
            file_bytes: source.file_bytes(),
            gguf_version,
            name: metadata.text("general.name"),
            size_label: metadata.text("general.size_label"),
            n_parameters: tensors.values().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.n_elements)),
            n_tensors: tensors.len(),
            quantization: metadata.number("general.file_type").and_then(file_type).map(str::to_owned),
            main_tensor_type: main_tensor_type(&tensors),
            split: split(&metadata),
            projector,
            text,
            architecture,
            kind,
        };
        let vision_settings = metadata.vision_settings();
        Ok(Self { summary, tensors, defect, layout, vision_settings })
    }

    /// The path that the header was read from.
    pub fn path(&self) -> &Path {
        &self.summary.path
    }

    /// What the file is.
    pub fn kind(&self) -> &Kind {
        &self.summary.kind
    }

    /// The facts, for `sgl inspect` and for planning.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Refuses values that the format allows and that no working model has.
    pub(super) fn check_values(&self) -> Result<(), GgufError> {
        self.defect.as_ref().map_or(Ok(()), |defect| Err(defect.error(self.path())))
    }

    /// What the file says of its vision encoder, one setting a line.
    pub(super) fn vision_settings(&self) -> &str {
        &self.vision_settings
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// The tensor of this name in this file.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Where the data of tensors begin, in bytes from the beginning of the file.
    pub(crate) fn data_start(&self) -> u64 {
        self.layout.table_end.next_multiple_of(self.layout.alignment)
    }

    /// All tensors in this file, by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

fn check_magic(path: &Path, source: &mut Source<'_, impl Read + Seek>) -> Result<(), GgufError> {
    const MAGIC: &[u8] = b"GGUF";
    let head = source.peek()?;
    if head.starts_with(MAGIC) || (!head.is_empty() && MAGIC.starts_with(head)) {
        return Ok(());
    }
    let (found, fix) = sniff(head.get(..512).unwrap_or(head));
    Err(GgufError::NotGguf { path: path.into(), found, fix })
}

fn alignment(metadata: &Metadata) -> Result<u64, String> {
    const KEY: &str = "general.alignment";
    const DEFAULT: u64 = 32;
    match metadata.number(KEY) {
        None if metadata.has(KEY) || metadata.array(KEY).is_some() => Err("the alignment is not a number".into()),
        None => Ok(DEFAULT),
        Some(alignment) if alignment.is_power_of_two() && u32::try_from(alignment).is_ok() => Ok(alignment),
        Some(alignment) => Err(format!("the alignment {alignment} is not a power of two of 32 bits")),
    }
}

fn kind(metadata: &Metadata, architecture: &str) -> Kind {
    match metadata.text("general.type").as_deref() {
        Some("mmproj") => Kind::Projector,
        None | Some("model") if architecture == "clip" => Kind::Projector,
        None | Some("model") if !architecture.is_empty() => Kind::TextModel,
        None | Some("model") => Kind::Other("data without an architecture".into()),
        Some(other) => Kind::Other(other.into()),
    }
}

fn split(metadata: &Metadata) -> Option<Split> {
    let parts = metadata.number("split.count").filter(|&parts| parts > 1)?;
    let part = metadata.number("split.no")?.saturating_add(1);
    Some(Split { part, parts })
}

fn main_tensor_type(tensors: &BTreeMap<String, Tensor>) -> Option<&'static str> {
    let mut elements = BTreeMap::<_, u64>::new();
    for tensor in tensors.values() {
        let sum = elements.entry(tensor.type_name).or_default();
        *sum = sum.saturating_add(tensor.n_elements);
    }
    elements.into_iter().max_by_key(|&(_, sum)| sum).map(|(name, _)| name)
}
