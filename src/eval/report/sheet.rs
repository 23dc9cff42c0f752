//! Rows as CSV: numbers as they are, empty where there is none.

use crate::eval::summary::{ExitRow, OverlapRow, Row};
use serde::Serialize;

/// `rows.csv`. Accuracies by kind are in `results.json` only.
pub(super) fn rows(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    #[derive(Serialize)]
    struct Flat<'a> {
        policy: &'a str,
        retain: f64,
        n: usize,
        accuracy: Option<f64>,
        ci95_low: Option<f64>,
        ci95_high: Option<f64>,
        loss: Option<f64>,
        loss_ci95_low: Option<f64>,
        loss_ci95_high: Option<f64>,
        p: Option<f64>,
        hurt: Option<f64>,
        rescued: Option<f64>,
        kept: Option<f64>,
        target_ms_median: Option<f64>,
        total_ms_median: Option<f64>,
        cost: Option<f64>,
    }
    write(rows.iter().map(|row| {
        let loss = row.loss.as_ref();
        Flat {
            policy: &row.policy,
            retain: row.retain,
            n: row.n,
            accuracy: row.accuracy,
            ci95_low: row.ci95.map(|[low, _]| low),
            ci95_high: row.ci95.map(|[_, high]| high),
            loss: loss.map(|loss| loss.mean),
            loss_ci95_low: loss.map(|loss| loss.ci95[0]),
            loss_ci95_high: loss.map(|loss| loss.ci95[1]),
            p: loss.map(|loss| loss.p),
            hurt: loss.map(|loss| loss.hurt),
            rescued: loss.map(|loss| loss.rescued),
            kept: row.kept,
            target_ms_median: row.target_ms_median,
            total_ms_median: row.total_ms_median,
            cost: row.cost,
        }
    }))
}

/// `overlap.csv`.
pub(super) fn overlap(rows: &[OverlapRow]) -> Result<Vec<u8>, csv::Error> {
    write(rows)
}

/// `exit_curve.csv`.
pub(super) fn exit_curve(rows: &[ExitRow]) -> Result<Vec<u8>, csv::Error> {
    #[derive(Serialize)]
    struct Flat<'a> {
        signal: &'a str,
        threshold: f64,
        exited: f64,
        exited_accuracy: Option<f64>,
        accuracy: f64,
        ci95_low: f64,
        ci95_high: f64,
        cost: f64,
    }
    write(rows.iter().map(|row| Flat {
        signal: &row.signal,
        threshold: row.threshold,
        exited: row.exited,
        exited_accuracy: row.exited_accuracy,
        accuracy: row.accuracy,
        ci95_low: row.ci95[0],
        ci95_high: row.ci95[1],
        cost: row.cost,
    }))
}

fn write(rows: impl IntoIterator<Item = impl Serialize>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.into_iter().try_for_each(|row| writer.serialize(row))?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn parsed(bytes: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
        let fields = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
        let mut reader = csv::Reader::from_reader(bytes);
        let header = fields(reader.headers().unwrap());
        (header, reader.records().map(|record| fields(&record.unwrap())).collect())
    }

    #[test]
    fn every_row_is_a_line_and_what_is_missing_is_empty() {
        let summary = fixture::summary();
        let (header, lines) = parsed(&rows(&summary.rows).unwrap());
        assert_eq!(header[..6], ["policy", "retain", "n", "accuracy", "ci95_low", "ci95_high"]);
        assert_eq!(header.len(), 16);
        assert_eq!(lines.len(), summary.rows.len());
        assert_eq!(lines[0][..4], ["none", "1.0", "400", "0.894"]);
        let lowres = lines.iter().find(|line| line[0] == "lowres").unwrap();
        assert!(lowres[3..].iter().all(String::is_empty), "{lowres:?}");

        let (header, lines) = parsed(&exit_curve(&summary.exit_curve).unwrap());
        assert_eq!((header.len(), lines.len()), (8, summary.exit_curve.len()));
        let (header, lines) = parsed(&overlap(&summary.overlap).unwrap());
        assert_eq!((header.len(), lines.len()), (6, summary.overlap.len()));
    }

    #[test]
    fn names_are_quoted_where_they_have_to_be() {
        let mut row = fixture::summary().rows.remove(0);
        row.policy = "a,\"b\"\nc".into();
        let (_, lines) = parsed(&rows(&[row]).unwrap());
        assert_eq!(lines[0][0], "a,\"b\"\nc");
    }
}
