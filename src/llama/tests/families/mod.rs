//! Every family of models, on pairs with random weights: what the crate claims, cell by cell of a table.

mod case;
mod checks;
mod places;
mod quantized;

use self::case::{Case, Dropped, exact};
use crate::fixtures::{FAMILIES, Family};
use crate::gguf::WeightType;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Outcome<T = ()> = Result<T, String>;

/// A column of the table.
struct Column {
    name: &'static str,
    check: fn(&Case) -> Outcome,
    /// Why the check does not apply to a family.
    exempt: fn(Family) -> Option<&'static str>,
}

const COLUMNS: [Column; 11] = [
    Column { name: "load", check: checks::loads, exempt: |_| None },
    Column { name: "oracle", check: checks::equals_libmtmd, exempt: |_| None },
    Column { name: "two pictures", check: checks::equals_libmtmd_on_two_pictures, exempt: |_| None },
    Column { name: "tiles", check: places::tiles, exempt: does_not_tile },
    Column { name: "geometry", check: places::geometry, exempt: |_| None },
    Column { name: "positions", check: checks::dropping_equals_masking, exempt: is_recurrent },
    Column { name: "attention", check: checks::export_equals_softmax, exempt: |_| None },
    Column { name: "quantized KV", check: checks::quantized_caches, exempt: |_| None },
    Column { name: "flash attention", check: checks::flash_attention, exempt: |_| None },
    Column { name: "generation", check: checks::generation_continues, exempt: |_| None },
    Column { name: "cross guide", check: places::cross_guide, exempt: |_| None },
];

fn does_not_tile(family: Family) -> Option<&'static str> {
    use Family::*;
    let tiles = [InternVlQwen2, InternVlLlama, InternVlInternLm2, InternVlQwen3, Llava16, SmolVlm, MiniCpmV26, Lfm2Vl];
    (!tiles.contains(&family)).then_some("it reads a picture in one piece")
}

fn is_recurrent(family: Family) -> Option<&'static str> {
    matches!(family, Family::Lfm2Vl | Family::Qwen35).then_some("recurrent layers carry a state past masks")
}

#[test]
fn every_family() {
    let mut table = String::from("| family |");
    let mut failed = Vec::new();
    let mut notes = Vec::new();
    for column in &COLUMNS {
        table += &format!(" {} |", column.name);
    }
    table += &format!("\n|{}", "---|".repeat(COLUMNS.len() + 1));
    for family in FAMILIES {
        table += &format!("\n| {} |", family.name());
        let case = Case::new(family);
        for Column { name, check, exempt } in &COLUMNS {
            let outcome = match exempt(family) {
                Some(reason) => {
                    notes.push(format!("{}, {name}: {reason}", family.name()));
                    " – |"
                }
                None => match catch_unwind(AssertUnwindSafe(|| check(&case))) {
                    Ok(Ok(())) => " ✓ |",
                    result => {
                        let reason = result.map_or("it panicked".to_owned(), |outcome| outcome.unwrap_err());
                        failed.push(format!("{}, {name}: {reason}", family.name()));
                        " ✗ |"
                    }
                },
            };
            table += outcome;
        }
    }
    println!("{table}\n\n{}", notes.join("\n"));
    assert!(failed.is_empty(), "{table}\n\n{}", failed.join("\n"));
    let readme = include_str!("../../../../README.md");
    assert!(readme.contains(&table), "the table in README.md is another one than this:\n{table}");
}

/// Weights of all types are read as they were meant: outputs come nearer to those of 32 bits than unrelated ones, which
/// are about 1.4 away.
#[test]
fn every_weight_type() {
    for family in FAMILIES {
        let logits = |kind| {
            let case = Case::with(family, kind);
            let vision = case.vision().unwrap();
            let prompt = case.prompt(&vision, &[case.small()]).unwrap();
            prompt.read_new(vision.model(), &exact(), &prompt.all(), Dropped::Absent).unwrap()
        };
        let reference = logits(WeightType::F32);
        for (kind, limit) in [(WeightType::F16, 0.02), (WeightType::Q8_0, 0.2), (WeightType::Q4_0, 1.25)] {
            let distance = checks::relative(&logits(kind), &reference);
            assert!(distance < limit, "{}, {kind:?}: {distance}", family.name());
        }
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}
