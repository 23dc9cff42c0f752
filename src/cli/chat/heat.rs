//! `/explain`: the heat maps of the last answer.

use crate::cli::error::Failure;
use crate::cli::explain::{places, save};
use sgl::explain::Explanation;
use sgl::guidance::Policy;
use sgl::media::Picture;
use sgl::pipeline::Outcome;
use std::path::{Path, PathBuf};

/// Writes one map per picture: to `out`, or `out` with a number if there are several. Returns where.
///
/// # Errors
/// There is nothing to draw, or it cannot be written there.
pub fn write(
    outcome: &Outcome,
    question: &str,
    pictures: &[Picture],
    policy: Policy,
    out: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let (paths, _) = places(out, pictures.len(), false)?;
    let explanation = Explanation::new(outcome, question, policy, None)?;
    for ((path, picture), number) in paths.iter().zip(pictures).zip(0..) {
        save(path, &explanation.heat_map(picture, number)?)?;
    }
    Ok(paths)
}
