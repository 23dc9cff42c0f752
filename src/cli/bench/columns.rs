//! Tables of aligned columns.

/// Rows under titles; all columns but the first end in line.
pub fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(str::to_owned);
    let all = || std::iter::once(&titles).chain(rows);
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all().map(line).collect()
}

/// Bytes as people read them.
pub fn bytes(n: u64) -> String {
    let mib = n as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{mib:.1} MiB") } else { format!("{:.2} GiB", mib / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a".to_owned(), "1.5".to_owned()], ["long".to_owned(), "–".to_owned()]];
        assert_eq!(table(["", "ratio"], &rows), "      ratio\na       1.5\nlong      –\n");
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!((bytes(1 << 20).as_str(), bytes(3 << 29).as_str()), ("1.0 MiB", "1.50 GiB"));
    }
}
