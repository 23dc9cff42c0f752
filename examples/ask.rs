//! The whole library in one question: `cargo run --release --example ask -- picture.png "What is this?"`

use sgl::media::{Limits, Picture};
use sgl::pair::DemoPair;
use sgl::pipeline::{Event, Pipeline, Request};
use sgl::vlm::{VlmOptions, question};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(picture), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask PICTURE QUESTION".into());
    };
    let pair = DemoPair::install()?; // or the paths of your own GGUF files
    let guide = VlmOptions { model: pair.guide, mmproj: pair.guide_mmproj, ..VlmOptions::default() };
    let target = VlmOptions { model: pair.target, mmproj: pair.target_mmproj, ..VlmOptions::default() };
    let mut pipeline = Pipeline::load(Some(guide), target, |_, _| {})?;

    let picture = Picture::open(picture, &Limits::default())?;
    let request = Request::new(question(None, 1, &text), vec![picture]);
    let outcome = pipeline.run(&request, &mut |event| {
        if let Event::Said(said) = event {
            print!("{}", said.text);
        }
    })?;
    let report = outcome.report;
    println!("\n{:?}, {} of {} visual tokens", report.source, report.visual.kept, report.visual.tokens);
    Ok(())
}
