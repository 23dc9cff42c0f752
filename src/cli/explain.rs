//! `sgl explain`: answers as `sgl run` does and draws where the guide looked.
//!
//! An early exit is off unless `--exit-threshold` is on the command line: who asks for the map wants to see what the target
//! reads. The guide runs in any case, also for policies that ignore its attention.

mod compare;
mod show;

use self::compare::Oracle;
use super::args::{ExplainArgs, Show};
use super::error::{Exit, Failure};
use super::output::{Console, Output, json_line};
use super::report;
use super::resolve::{request, usage};
use super::run::{Answer, load, open};
use serde::Serialize;
use sgl::explain::{Explanation, PictureTokens};
use sgl::pair::write_atomically;
use sgl::pipeline::Report;
use std::path::{Path, PathBuf};

/// Bytes of encoder outputs that the target keeps, so that it need not read the pictures twice for a comparison.
const COMPARED_BYTES: usize = 1 << 30;

/// What `--json` prints.
#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    report: &'a Report,
    heat_maps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_maps: Option<Vec<String>>,
    pictures: Vec<PictureTokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Oracle>,
}

pub fn run(args: &ExplainArgs, console: &Console) -> Result<(), Failure> {
    let n_pictures = args.run.question.image.len();
    let (heat_maps, layer_maps) = places(&args.out, n_pictures, args.layers)?;
    let (mut request, mut pair) = request(&args.run, console)?;
    if n_pictures == 0 {
        return Err(usage("there is no picture to explain; add --image"));
    }
    if pair.guide.is_none() {
        return Err(usage("without a guide there is nothing to explain; add --guide and --guide-mmproj"));
    }
    let is_json = args.run.report.json;
    if is_json && !matches!(args.show, Show::Auto | Show::Never) {
        return Err(usage("--show names how to draw in the terminal, and --json is for programs; leave one out"));
    }
    if !args.run.common.given.iter().any(|flag| flag == "--exit-threshold") {
        request.exit = None;
    }
    if args.compare {
        pair.target.encoder_cache_bytes = COMPARED_BYTES;
    }
    request.always_guide = true;
    request.pictures = open(&args.run.question.image)?;

    let progress = console.progress();
    let mut pipeline = load(pair, &progress).inspect_err(|_| progress.clear())?;
    let mut answer = Answer { output: Output::default(), streams: !is_json, needs_reader: false };
    let Some(outcome) = answer.ask(&mut pipeline, &request, &progress)? else { return Ok(()) };
    let compare = || Oracle::ask(&mut pipeline, &request, &outcome, &console.progress());
    let oracle = args.compare.then(compare).transpose()?;
    let explanation =
        Explanation::new(&outcome, &args.run.question.prompt, request.policy, oracle.as_ref().map(Oracle::compared))?;

    let write = |path: &PathBuf, png: Vec<u8>| {
        save(path, &png)?;
        console.say(format_args!("wrote {}", path.display()));
        Ok::<(), Failure>(())
    };
    for ((path, picture), number) in heat_maps.iter().zip(&request.pictures).zip(0..) {
        if let Some(protocol) = show::protocol(args.show, is_json) {
            console.say(explanation.shown(picture, number, protocol, show::columns())?);
        }
        write(path, explanation.heat_map(picture, number)?)?;
    }
    for ((path, picture), number) in layer_maps.iter().flatten().zip(&request.pictures).zip(0..) {
        write(path, explanation.layer_map(picture, number)?)?;
    }
    if is_json {
        let names = |paths: &[PathBuf]| paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let pictures = request.pictures.iter().enumerate();
        answer.output.write(&json_line(&Explained {
            report: &outcome.report,
            heat_maps: names(&heat_maps),
            layer_maps: layer_maps.as_deref().map(names),
            pictures: pictures.map(|(number, picture)| explanation.tokens(picture, number, args.layers)).collect(),
            comparison: oracle.as_ref(),
        })?);
    }
    answer.output.finish()?;
    console.say(report::summary(&outcome.report));
    if let Some(oracle) = &oracle {
        console.say(oracle.summary());
    }
    Ok(())
}

/// # Errors
/// Names the file; nothing of it is left behind.
pub fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_atomically(path, bytes).map_err(|error| cannot_write(path, error))
}

/// Where the heat maps and the maps of layers go; checked before a model is loaded.
pub fn places(out: &Path, n_pictures: usize, layers: bool) -> Result<(Vec<PathBuf>, Option<Vec<PathBuf>>), Failure> {
    let is_png = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    let (Some(stem), true) = (out.file_stem(), is_png) else {
        return Err(usage(format!("{} is no name for a PNG picture; let it end in .png", out.display())));
    };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(cannot_write(out, format!("there is no folder {}; create it", folder.display())));
    }
    let with = |ending: String| {
        let mut name = stem.to_owned();
        name.push(ending);
        out.with_file_name(name)
    };
    let maps: Vec<PathBuf> = match n_pictures {
        0 | 1 => vec![out.to_owned()],
        _ => (1..=n_pictures).map(|number| with(format!("-{number}.png"))).collect(),
    };
    let layers = layers.then(|| match n_pictures {
        0 | 1 => vec![with("-layers.png".to_owned())],
        _ => (1..=n_pictures).map(|number| with(format!("-{number}-layers.png"))).collect::<Vec<PathBuf>>(),
    });
    match maps.iter().chain(layers.iter().flatten()).find(|path| path.is_dir()) {
        Some(path) => Err(cannot_write(path, "it is a folder; name a file")),
        None => Ok((maps, layers)),
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
        let names = |out: &str, n, layers| {
            let (maps, layers) = places(Path::new(out), n, layers).unwrap();
            maps.into_iter()
                .chain(layers.into_iter().flatten())
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("heat.png", 1, false), ["heat.png"]);
        assert_eq!(names("heat.png", 1, true), ["heat.png", "heat-layers.png"]);
        assert_eq!(names("src/map.of.PNG", 2, false), ["src/map.of-1.png", "src/map.of-2.png"]);
        let four = ["heat-1.png", "heat-2.png", "heat-1-layers.png", "heat-2-layers.png"];
        assert_eq!(names("heat.png", 2, true), four);
    }

    #[test]
    fn bad_places_are_refused() {
        for out in ["heat", "heat.jpg", "-", "src/", "src", ".png", "/"] {
            assert_eq!(places(Path::new(out), 1, true).unwrap_err().exit, Exit::Usage, "{out}");
        }
        assert_eq!(places(Path::new("no such folder/heat.png"), 1, false).unwrap_err().exit, Exit::Output);
        assert_eq!(places(Path::new("Cargo.toml/heat.png"), 1, false).unwrap_err().exit, Exit::Output);
    }
}
