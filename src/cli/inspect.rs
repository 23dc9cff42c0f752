//! `sgl inspect`: what GGUF files are, and whether a model and an mmproj fit.
//!
//! Neighbours among the files, first and second, third and fourth, are a pair if one is a text model and the other an
//! mmproj, in either order. A file that cannot be read does not hide the others.

use super::args::InspectArgs;
use super::error::{Exit, Failure};
use super::output::{Console, json_line, print};
use serde::Serialize;
use sgl::gguf::{GgufError, Header, Kind, Summary, check_guide, check_target, describe};

/// What `--json` prints.
#[derive(Serialize)]
struct Inspected<'a> {
    files: Vec<&'a Summary>,
    pairs: &'a [Verdict],
}

#[derive(Serialize)]
struct Verdict {
    model: String,
    mmproj: String,
    /// Why they cannot be a target; `null` if they can.
    not_target: Option<String>,
    /// Why they cannot be a guide; `null` if they can.
    not_guide: Option<String>,
}

pub fn run(args: &InspectArgs, console: &Console) -> Result<(), Failure> {
    let read: Vec<Result<Header, GgufError>> = args.files.iter().map(|path| Header::read(path)).collect();
    let pairs: Vec<Verdict> = read.chunks(2).filter_map(verdict).collect();
    let headers: Vec<&Header> = read.iter().flatten().collect();
    if args.json {
        print(&json_line(&Inspected {
            files: headers.iter().map(|header| header.summary()).collect(),
            pairs: &pairs,
        })?)?;
    } else {
        let mut blocks: Vec<String> = headers.iter().map(|header| describe(header.summary())).collect();
        blocks.extend(pairs.iter().map(Verdict::lines));
        print(&blocks.join("\n"))?;
    }
    let unfit =
        pairs.iter().filter_map(|pair| pair.not_target.as_ref()).map(|reason| Failure::new(Exit::Models, reason));
    let mut failures: Vec<Failure> = unfit.chain(read.into_iter().filter_map(Result::err).map(Failure::from)).collect();
    let Some(last) = failures.pop() else { return Ok(()) };
    failures.iter().for_each(|failure| console.failure(failure));
    Err(last)
}

fn verdict(neighbours: &[Result<Header, GgufError>]) -> Option<Verdict> {
    let [Ok(first), Ok(second)] = neighbours else { return None };
    let (model, mmproj) = match (first.kind(), second.kind()) {
        (Kind::TextModel, Kind::Projector) => (first, second),
        (Kind::Projector, Kind::TextModel) => (second, first),
        _ => return None,
    };
    let reason = |verdict: Result<(), GgufError>| verdict.err().map(|error| error.to_string());
    Some(Verdict {
        model: model.path().to_string_lossy().into_owned(),
        mmproj: mmproj.path().to_string_lossy().into_owned(),
        not_target: reason(check_target(model, mmproj)),
        not_guide: reason(check_guide(model, mmproj)),
    })
}

impl Verdict {
    fn lines(&self) -> String {
        let answer = |reason: &Option<String>| match reason {
            None => "yes".to_owned(),
            Some(reason) => format!("no: {reason}"),
        };
        format!(
            "model:            {}\nmmproj:           {}\nfits as a target: {}\nfits as a guide:  {}\n",
            self.model,
            self.mmproj,
            answer(&self.not_target),
            answer(&self.not_guide)
        )
    }
}
