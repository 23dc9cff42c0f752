//! A copy of a GGUF file in which some tensors have another type. Metadata and all other tensors stay as they are, byte for
//! byte, but for the number that says what the file consists of (`general.file_type`).

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::header::{Header, Layout};
use super::scan::Tensor;
use super::types::tensor_type;
use super::{GgufError, WeightType};

/// Most bytes of a tensor in memory at once, unless one row has more.
const MAX_PIECE_BYTES: u64 = 4 << 20;

/// A copy that is about to be written.
#[derive(Debug)]
pub(crate) struct Rewrite<'a> {
    header: &'a Header,
    /// In the order of the file.
    tensors: Vec<Rewritten<'a>>,
    file_type: u32,
}

/// A tensor of the copy.
#[derive(Debug)]
pub(crate) struct Rewritten<'a> {
    pub name: &'a str,
    pub tensor: &'a Tensor,
    /// `ggml_type` in the copy.
    pub kind: u32,
    /// Name of that type.
    pub type_name: &'static str,
    /// Size in the copy, padding excluded.
    pub bytes: u64,
}

impl Rewritten<'_> {
    /// Whether the copy has another type.
    pub fn changes(&self) -> bool {
        self.kind != self.tensor.kind
    }

    /// Elements of a row.
    pub fn row(&self) -> u64 {
        self.tensor.dims.first().copied().unwrap_or(1)
    }
}

impl WeightType {
    /// Whether rows of `row` elements consist of whole blocks.
    pub(crate) fn divides(self, row: u64) -> bool {
        tensor_type(self.id()).is_some_and(|layout| row.is_multiple_of(layout.block_elements))
    }
}

impl<'a> Rewrite<'a> {
    /// The copy in which each tensor has the type that `choose` names; `None`, or one whose blocks do not fit its rows,
    /// leaves it as it is. `file_type` is the copy's `llama_ftype`.
    pub fn new(
        header: &'a Header,
        file_type: WeightType,
        choose: impl Fn(&str, &Tensor) -> Option<WeightType>,
    ) -> Self {
        let mut tensors: Vec<_> =
            header.tensors().map(|(name, tensor)| rewritten(name, tensor, choose(name, tensor))).collect();
        // Tensors without elements share the offset of the next one.
        tensors.sort_by_key(|entry| (entry.tensor.offset, entry.tensor.bytes));
        Self { header, tensors, file_type: file_type.file_type() }
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> &[Rewritten<'a>] {
        &self.tensors
    }

    /// Writes the copy. `convert` gets whole rows of a tensor that changes, a few megabytes at a time, and adds what
    /// becomes of them to its last argument.
    ///
    /// # Errors
    /// Those of reading and of `convert`; `written` makes one of what `out` says.
    pub fn write<E: From<GgufError>>(
        &self,
        from: &mut (impl Read + Seek),
        out: &mut impl Write,
        written: impl Fn(io::Error) -> E,
        mut convert: impl FnMut(&Rewritten<'_>, &[u8], &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let unread = |source| E::from(GgufError::read(self.header.path(), source));
        let Layout { alignment, .. } = self.header.layout();
        let head = self.head(from).map_err(unread)?;
        out.write_all(&head).map_err(&written)?;
        let mut position = head.len() as u64;
        let from_data = self.header.data_start();
        let mut bytes = Vec::new();
        let mut result = Vec::new();
        for entry in &self.tensors {
            pad(out, position.next_multiple_of(alignment) - position).map_err(&written)?;
            from.seek(SeekFrom::Start(from_data + entry.tensor.offset)).map_err(unread)?;
            let mut left = entry.tensor.bytes;
            let piece = if entry.changes() { whole_rows(entry) } else { MAX_PIECE_BYTES };
            while left > 0 {
                let n_bytes = left.min(piece);
                bytes.clear();
                if from.take(n_bytes).read_to_end(&mut bytes).map_err(unread)? as u64 != n_bytes {
                    return Err(unread(io::ErrorKind::UnexpectedEof.into()));
                }
                if entry.changes() {
                    result.clear();
                    convert(entry, &bytes, &mut result)?;
                    out.write_all(&result).map_err(&written)?;
                } else {
                    out.write_all(&bytes).map_err(&written)?;
                }
                left -= n_bytes;
            }
            position = position.next_multiple_of(alignment) + entry.bytes;
        }
        pad(out, position.next_multiple_of(alignment) - position).map_err(&written)
    }

    /// All before the data of the first tensor: the metadata as they were, and a new table.
    fn head(&self, from: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
        let Layout { file_type, table, alignment, .. } = self.header.layout();
        let mut head = Vec::new();
        from.rewind()?;
        from.take(table).read_to_end(&mut head)?;
        if let Some(place) = file_type.and_then(|at| head.get_mut(at as usize..at as usize + 4)) {
            place.copy_from_slice(&self.file_type.to_le_bytes());
        }
        let mut offset: u64 = 0;
        for entry in &self.tensors {
            head.extend((entry.name.len() as u64).to_le_bytes());
            head.extend(entry.name.as_bytes());
            head.extend((entry.tensor.dims.len() as u32).to_le_bytes());
            head.extend(entry.tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            head.extend(entry.kind.to_le_bytes());
            head.extend(offset.to_le_bytes());
            offset = (offset + entry.bytes).next_multiple_of(alignment);
        }
        Ok(head)
    }
}

fn rewritten<'a>(name: &'a str, tensor: &'a Tensor, wanted: Option<WeightType>) -> Rewritten<'a> {
    let as_it_is = Rewritten { name, tensor, kind: tensor.kind, type_name: tensor.type_name, bytes: tensor.bytes };
    let row = as_it_is.row();
    match wanted.filter(|wanted| wanted.divides(row)).and_then(|wanted| Some((wanted.id(), tensor_type(wanted.id())?)))
    {
        Some((kind, layout)) => {
            let bytes = (tensor.n_elements / layout.block_elements).saturating_mul(layout.block_bytes);
            Rewritten { kind, type_name: layout.name, bytes, ..as_it_is }
        }
        None => as_it_is,
    }
}

/// Bytes of as many rows as are in memory at once.
fn whole_rows(entry: &Rewritten<'_>) -> u64 {
    let n_rows = entry.tensor.n_elements.checked_div(entry.row()).unwrap_or(0).max(1);
    let row_bytes = (entry.tensor.bytes / n_rows).max(1);
    (MAX_PIECE_BYTES / row_bytes).max(1) * row_bytes
}

fn pad(out: &mut impl Write, n_bytes: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(n_bytes), out).map(drop)
}
