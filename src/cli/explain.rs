//! `sgl explain`: answers as `sgl run` does and draws where the guide looked.
//!
//! An early exit is off unless `--exit-threshold` is on the command line: who asks for the map wants to see what the target
//! reads. The guide runs in any case, also for policies that ignore its attention.

use super::args::ExplainArgs;
use super::error::{Exit, Failure};
use super::output::{Console, Output, json_line};
use super::report;
use super::resolve::{Pair, request, usage};
use super::run::{Answer, open};
use serde::Serialize;
use sgl::explain::{encode_png, overlay};
use sgl::geometry::{Place, Rect};
use sgl::guidance::{Importance, Policy};
use sgl::media::Picture;
use sgl::pair::write_atomically;
use sgl::pipeline::{Outcome, Report};
use std::path::{Path, PathBuf};

/// What `--json` prints.
#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    report: &'a Report,
    heat_maps: Vec<String>,
}

pub fn run(args: &ExplainArgs, console: &Console) -> Result<(), Failure> {
    let n_pictures = args.run.question.image.len();
    let paths = places(&args.out, n_pictures)?;
    let mut request = request(&args.run)?;
    let pair = Pair::of(&args.run)?;
    if n_pictures == 0 {
        return Err(usage("there is no picture to explain; add --image"));
    }
    if pair.guide.is_none() {
        return Err(usage("without a guide there is nothing to explain; add --guide and --guide-mmproj"));
    }
    if !args.run.given.iter().any(|flag| flag == "--exit-threshold") {
        request.exit = None;
    }
    request.always_guide = true;
    request.pictures = open(&args.run.question.image)?;

    let mut answer = Answer { output: Output::default(), streams: !args.run.answer.json, needs_reader: false };
    let Some(outcome) = answer.get(pair, &request, console)? else { return Ok(()) };
    let maps = draw(&outcome, &request.pictures, request.policy)?;
    for (path, map) in paths.iter().zip(&maps) {
        save(path, map)?;
        console.say(format_args!("wrote {}", path.display()));
    }
    if args.run.answer.json {
        let heat_maps = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        answer.output.write(&json_line(&Explained { report: &outcome.report, heat_maps })?);
    }
    answer.output.finish()?;
    console.say(report::summary(&outcome.report));
    Ok(())
}

/// One PNG per picture: the scores that `policy` ranks by, or the global ones, and the tokens that it selected.
pub fn draw(outcome: &Outcome, pictures: &[Picture], policy: Policy) -> Result<Vec<Vec<u8>>, Failure> {
    let Some((selection, importance)) =
        outcome.selection.as_ref().and_then(|selection| Some((selection, selection.importance.as_ref()?)))
    else {
        return Err(Failure::new(
            Exit::Models,
            "the guide has not looked at the pictures, so there is nothing to draw",
        ));
    };
    let scores = scores(importance, policy);
    let maps = pictures.iter().enumerate().map(|(number, picture)| {
        // Tokens on padding alone show nothing.
        let is_shown = |place: &Place| place.picture == number && place.rect.intersection(&Rect::WHOLE).area() > 0.0;
        let tokens: Vec<usize> = (0..scores.len()).filter(|&token| is_shown(&selection.places[token])).collect();
        let rects: Vec<Rect> = tokens.iter().map(|&token| selection.places[token].rect).collect();
        let shown: Vec<f64> = tokens.iter().map(|&token| scores[token]).collect();
        let is_kept = |token: &usize| selection.kept.indices().binary_search(token).is_ok();
        let kept: Vec<usize> = (0..tokens.len()).filter(|&index| is_kept(&tokens[index])).collect();
        Ok(encode_png(&overlay(picture.width(), picture.height(), picture.rgb(), &rects, &shown, &kept)?)?)
    });
    maps.collect()
}

/// # Errors
/// Names the file; nothing of it is left behind.
pub fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_atomically(path, bytes).map_err(|error| cannot_write(path, error))
}

fn scores(importance: &Importance, policy: Policy) -> Vec<f64> {
    match policy {
        Policy::Layer(layer) => importance.layer(layer).map(<[f64]>::to_vec),
        _ => None,
    }
    .unwrap_or_else(|| importance.global())
}

/// Where the maps go; checked before a model is loaded.
fn places(out: &Path, n_pictures: usize) -> Result<Vec<PathBuf>, Failure> {
    let is_png = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    let (Some(stem), true) = (out.file_stem(), is_png) else {
        return Err(usage(format!("--out {} is no name for a PNG picture; let it end in .png", out.display())));
    };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(cannot_write(out, format!("there is no folder {}; create it", folder.display())));
    }
    let paths: Vec<PathBuf> = match n_pictures {
        0 | 1 => vec![out.to_owned()],
        _ => {
            let numbered = |number: usize| {
                let mut name = stem.to_owned();
                name.push(format!("-{number}.png"));
                out.with_file_name(name)
            };
            (1..=n_pictures).map(numbered).collect()
        }
    };
    match paths.iter().find(|path| path.is_dir()) {
        Some(path) => Err(cannot_write(path, "it is a folder; name a file")),
        None => Ok(paths),
    }
}

fn cannot_write(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Output, format!("cannot write {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_maps_are_numbered() {
        let names = |out: &str, n| {
            places(Path::new(out), n).map(|paths| paths.iter().map(|p| p.display().to_string()).collect())
        };
        assert_eq!(names("heat.png", 1).unwrap(), ["heat.png".to_owned()] as [String; 1]);
        let two: Vec<String> = names("src/map.of.PNG", 2).unwrap();
        assert_eq!(two, ["src/map.of-1.png", "src/map.of-2.png"]);
    }

    #[test]
    fn bad_places_are_refused() {
        for out in ["heat", "heat.jpg", "-", "src/", "src", ".png", "/"] {
            assert_eq!(places(Path::new(out), 1).unwrap_err().exit, Exit::Usage, "{out}");
        }
        assert_eq!(places(Path::new("no such folder/heat.png"), 1).unwrap_err().exit, Exit::Output);
        assert_eq!(places(Path::new("Cargo.toml/heat.png"), 1).unwrap_err().exit, Exit::Output);
    }
}
