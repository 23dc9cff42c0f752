fn main() {
    let pair = sgl::pair::DemoPair::install().unwrap();
    let guide = sgl::vlm::VlmOptions { model: pair.guide, mmproj: pair.guide_mmproj, ..Default::default() };
    let target = sgl::vlm::VlmOptions { model: pair.target, mmproj: pair.target_mmproj, ..Default::default() };
    let mut pipeline = sgl::pipeline::Pipeline::load(Some(guide), target, |_, _| {}).unwrap();
    let args: Vec<String> = std::env::args().collect();
    let picture = sgl::media::Picture::open(&args[1], &Default::default()).unwrap();
    let request = sgl::pipeline::Request::new(sgl::vlm::question(None, 1, &args[2]), vec![picture]);
    let outcome = pipeline.run(&request, &mut |event| eprintln!("{event:?}")).unwrap();
    println!("{}", serde_json::to_string(&outcome.report).unwrap());
}
