use std::collections::HashSet;

use super::error::DataError;
use super::options::Options;
use super::picture::Pictures;
use super::questions::{ALL, File, Source, load, sample};
use super::table::{Row, Table};
use super::{Benchmark, Layout};
use crate::eval::metrics::Metric;
use crate::eval::sample::{Gold, Sample};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "mmbench",
    title: TITLE,
    what: "multiple choice, circular: a question counts if it is answered rightly for every rotation of its choices",
    metric: Metric::Choice,
    n_predict: 100,
    layouts: LAYOUTS,
    splits: &["dev", "test", "dev-v11", "test-v11", "dev-cn", "test-cn"],
    source: "Liu et al., ECCV 2024, arXiv 2307.06281; github.com/open-compass/MMBench",
    load: |dir, split| load((TITLE, Metric::Choice, LAYOUTS), FILES, dir, split),
};

const TITLE: &str = "MMBench";

const LAYOUTS: &[Layout] = &[
    Layout {
        files: "mmbench_dev_en_20231003.tsv, mmbench_dev_20230712.tsv, or the like with test or cn",
        from: "original release, InternVL's evaluation",
    },
    Layout { files: "MMBench_DEV_EN.tsv, or the like with TEST, CN or _V11", from: "VLMEvalKit" },
];

const FILES: &[File] = &[
    File { split: "dev", path: "mmbench_dev_en_20231003.tsv", read: table },
    File { split: "dev", path: "mmbench_dev_20230712.tsv", read: table },
    File { split: "dev", path: "MMBench_DEV_EN.tsv", read: table },
    File { split: "dev-v11", path: "MMBench_DEV_EN_V11.tsv", read: table },
    File { split: "dev-cn", path: "mmbench_dev_cn_20231003.tsv", read: table },
    File { split: "dev-cn", path: "MMBench_DEV_CN.tsv", read: table },
    File { split: "test", path: "mmbench_test_en_20231003.tsv", read: table },
    File { split: "test", path: "mmbench_test_20230712.tsv", read: table },
    File { split: "test", path: "MMBench_TEST_EN.tsv", read: table },
    File { split: "test-v11", path: "MMBench_TEST_EN_V11.tsv", read: table },
    File { split: "test-cn", path: "mmbench_test_cn_20231003.tsv", read: table },
    File { split: "test-cn", path: "MMBench_TEST_CN.tsv", read: table },
];

/// Added to an index for every rotation, in files that hold the rotations as rows of their own.
const ROTATION: u64 = 1_000_000;

/// Every rotation of every question. They are made here; rows that are a rotation of another row are therefore skipped.
fn table(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(source.file, &["question", "A", "B"])?;
    let files = Pictures::below(source.dir, &["images", "images/MMBench", "images/MMBench_V11"]);
    let indices: HashSet<u64> = table.rows.iter().filter_map(index).collect();
    let is_rotation =
        |row: &Row| index(row).is_some_and(|index| index >= ROTATION && indices.contains(&(index % ROTATION)));
    let mut samples = Vec::new();
    for row in table.rows.iter().filter(|row| !is_rotation(row)) {
        let record = &row.record;
        let options = Options::of_columns(record)?;
        let right = match record.has("answer") || source.has_answers() {
            true => options.gold(record, "answer")?,
            false => Gold::Unknown,
        };
        let kind = match record.maybe("l2-category")? {
            Some(kind) => kind,
            None => record.maybe("category")?.unwrap_or_else(|| ALL.to_owned()),
        };
        let pictures = table.pictures(row, &files)?;
        let asked = Sample {
            hint: record.maybe("hint")?.filter(|hint| hint != "nan"),
            choices: options.texts,
            ..sample(row.index.clone(), kind, pictures, record.text("question")?, right)
        };
        samples.extend(rotations(&asked));
    }
    Ok(samples)
}

fn index(row: &Row) -> Option<u64> {
    row.index.parse().ok()
}

/// CircularEval (section 4.3 of the paper): pass k shows the choices moved up by k, those at the top coming last.
fn rotations(asked: &Sample) -> impl Iterator<Item = Sample> + '_ {
    let n = asked.choices.len();
    (0..n).map(move |by| {
        let mut sample = Sample { id: format!("{}/{by}", asked.id), ..asked.clone() };
        sample.choices.rotate_left(by);
        if let Gold::Choice(right) = &mut sample.gold {
            *right = (*right + n - by) % n;
        }
        sample
    })
}
