//! `/explain`: the heat maps of the last answer.

use crate::cli::error::Failure;
use crate::cli::explain::{draw, save};
use crate::cli::resolve::usage;
use sgl::guidance::Policy;
use sgl::media::Picture;
use sgl::pipeline::Outcome;
use std::path::{Path, PathBuf};

/// Writes one map per picture: to `out`, or `out` with a number if there are several. Returns where.
///
/// # Errors
/// There is nothing to draw, or it cannot be written there.
pub fn write(outcome: &Outcome, pictures: &[Picture], policy: Policy, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let is_png = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    let (Some(stem), true) = (out.file_stem(), is_png) else {
        return Err(usage(format!("{} is no name for a PNG picture; let it end in .png", out.display())));
    };
    let maps = draw(outcome, pictures, policy)?;
    let numbered = |number: usize| {
        let mut name = stem.to_owned();
        name.push(format!("-{number}.png"));
        out.with_file_name(name)
    };
    let paths: Vec<PathBuf> = match maps.len() {
        1 => vec![out.to_owned()],
        n_maps => (1..=n_maps).map(numbered).collect(),
    };
    paths.iter().zip(&maps).try_for_each(|(path, map)| save(path, map))?;
    Ok(paths)
}
