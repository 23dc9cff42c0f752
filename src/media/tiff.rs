//! Whether the values that a TIFF lists can lie in the file. The decoder makes room for as many as an entry claims, 32 bytes for
//! each and 256 MiB in all, before it reads them.

/// Whether no entry of the first directory (TIFF 6.0, section 2) is longer than the file. What the file does not hold is for the
/// decoder to miss.
pub(super) fn lists_what_it_holds(bytes: &[u8]) -> bool {
    let is_big_endian = bytes.starts_with(b"MM");
    let number = |at: usize, width: usize| {
        let bytes = bytes.get(at..at.checked_add(width)?)?;
        let append = |number, byte: &u8| number << 8 | u64::from(*byte);
        Some(if is_big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) })
    };
    let Some(directory) = number(4, 4).map(|at| at as usize) else { return true };
    let n_entries = number(directory, 2).unwrap_or(0) as usize;
    let mut entries = (0..n_entries).map_while(|index| {
        let entry = directory + 2 + 12 * index;
        Some((number(entry + 2, 2)?, number(entry + 4, 4)?))
    });
    entries.all(|(kind, count)| count * size(kind) <= bytes.len() as u64)
}

/// Bytes of a value by its type; types that the decoder does not know are not read.
fn size(kind: u64) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one entry, BitsPerSample.
    fn file(is_big_endian: bool, kind: u64, count: u64) -> Vec<u8> {
        let mut file = if is_big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        for (value, width) in [(42, 2), (8, 4), (1, 2), (0x102, 2), (kind, 2), (count, 4), (0, 4), (0, 4)] {
            let bytes = &value.to_be_bytes()[8 - width..];
            if is_big_endian { file.extend(bytes) } else { file.extend(bytes.iter().rev()) }
        }
        file
    }

    #[test]
    fn an_entry_is_no_longer_than_the_file() {
        for is_big_endian in [false, true] {
            let length = file(is_big_endian, 1, 1).len() as u64;
            for (kind, size) in [(1, 1), (2, 1), (3, 2), (4, 4), (5, 8), (12, 8), (16, 8), (99, 1)] {
                let most = length / size;
                assert!(lists_what_it_holds(&file(is_big_endian, kind, most)));
                for more in [most + 1, u64::from(u32::MAX)] {
                    assert!(!lists_what_it_holds(&file(is_big_endian, kind, more)), "{kind}");
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_for_the_decoder() {
        let whole = file(false, 1, 1 << 30);
        assert!(!lists_what_it_holds(&whole));
        let end_of_count = 8 + 2 + 8;
        for length in 0..end_of_count {
            assert!(lists_what_it_holds(&whole[..length]), "{length}");
        }
    }
}
