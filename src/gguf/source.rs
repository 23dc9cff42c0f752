use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::GgufError;

/// Limit on the whole header. Bounds the time: the largest vocabularies take some 20 MiB.
const MAX_HEADER_BYTES: u64 = 128 << 20;

/// A file being read, at a known position and with a known end. Every step is first held against that end.
pub(super) struct Source<'a, R> {
    path: &'a Path,
    inner: BufReader<R>,
    position: u64,
    file_bytes: u64,
}

impl<'a, R: Read + Seek> Source<'a, R> {
    pub fn new(path: &'a Path, mut inner: R) -> Result<Self, GgufError> {
        let mut length = || {
            let end = inner.seek(SeekFrom::End(0))?;
            inner.rewind()?;
            Ok(end)
        };
        let file_bytes = length().map_err(|source| GgufError::read(path, source))?;
        let inner = BufReader::with_capacity(1 << 16, inner);
        Ok(Self { path, inner, position: 0, file_bytes })
    }

    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes, without moving.
    pub fn peek(&mut self) -> Result<&[u8], GgufError> {
        self.inner.fill_buf().map_err(|source| GgufError::read(self.path, source))
    }

    pub fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// A text with its length before it, of at most `limit` bytes; `what` names it in the error.
    pub fn text(&mut self, limit: u64, what: &str) -> Result<String, GgufError> {
        let length = self.u64()?;
        if length > limit {
            return Err(self.damaged(format!("{what} is {length} bytes long, and {limit} is the limit")));
        }
        let mut bytes = Vec::new();
        self.copy(length, &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Appends the next `length` bytes to `out`. The caller limits `length`.
    pub fn copy(&mut self, length: u64, out: &mut Vec<u8>) -> Result<(), GgufError> {
        self.advance(length)?;
        let read = (&mut self.inner).take(length).read_to_end(out);
        match read.map_err(|source| GgufError::read(self.path, source))? as u64 {
            read if read == length => Ok(()),
            read => Err(self.truncated(self.position, self.position - length + read)),
        }
    }

    pub fn skip(&mut self, length: u64) -> Result<(), GgufError> {
        self.advance(length)?;
        let offset = i64::try_from(length).unwrap_or(i64::MAX);
        self.inner.seek_relative(offset).map_err(|source| GgufError::read(self.path, source))
    }

    pub fn go_to(&mut self, position: u64) -> Result<(), GgufError> {
        self.position = position;
        let sought = self.inner.seek(SeekFrom::Start(position));
        sought.map(drop).map_err(|source| GgufError::read(self.path, source))
    }

    /// Refuses a file that is shorter than `end`.
    pub fn require(&self, end: u64) -> Result<(), GgufError> {
        if end > self.file_bytes { Err(self.truncated(end, self.file_bytes)) } else { Ok(()) }
    }

    pub fn damaged(&self, fact: String) -> GgufError {
        GgufError::Damaged { path: self.path.into(), fact }
    }

    /// A tensor of a type that is not known.
    pub fn unknown_type(&self, tensor: &str, kind: u32) -> GgufError {
        GgufError::TensorType { path: self.path.into(), tensor: tensor.into(), kind }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|source| GgufError::read(self.path, source))?;
        Ok(bytes)
    }

    fn advance(&mut self, length: u64) -> Result<(), GgufError> {
        let end = self.position.saturating_add(length);
        self.require(end)?;
        if end > MAX_HEADER_BYTES {
            return Err(self.damaged(format!("it is longer than {MAX_HEADER_BYTES} bytes")));
        }
        self.position = end;
        Ok(())
    }

    fn truncated(&self, expected: u64, actual: u64) -> GgufError {
        GgufError::Truncated { path: self.path.into(), expected, actual }
    }
}
