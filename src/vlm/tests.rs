use super::plan::{Input, plan};
use super::*;
use crate::guidance::Kept;
use crate::llama::Token;
use crate::media::{Limits, Picture};

const FIRST: &str = "Read the label of the white circle.";
const SECOND: &str = "Does the image contain a white square?";

fn guide() -> Vlm {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let options = VlmOptions {
        model: models.join("guide.gguf"),
        mmproj: models.join("mmproj-guide.gguf"),
        n_gpu_layers: Some(0),
        context: ContextOptions { n_threads: Some(1), ..ContextOptions::default() },
        encoder_cache_bytes: 1 << 20,
        ..VlmOptions::default()
    };
    Vlm::load(Role::Guide, options, |_| {}).unwrap()
}

fn picture() -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pictures/flat.png");
    Picture::open(path, &Limits::default()).unwrap()
}

/// Text of the prompt's tokens, and of those among them that ask.
fn texts(vlm: &mut Vlm, messages: &[Message], pictures: &[Picture]) -> (String, String) {
    let prepared = vlm.prepare(messages, pictures, |_, _| {}).unwrap();
    let groups = plan(&prepared.prompt, &Kept::all(prepared.prompt.n_visual()), &[]);
    let token = |input| if let Input::Token(token) = input { Some(token) } else { None };
    let entries: Vec<_> = groups.iter().flat_map(|group| &group.entries).collect();
    let all = entries.iter().filter_map(|entry| token(entry.input)).collect();
    let asking = entries.iter().filter(|entry| entry.query).filter_map(|entry| token(entry.input)).collect();
    let text = |tokens: Vec<Token>| {
        String::from_utf8(tokens.into_iter().flat_map(|token| vlm.model().piece(token)).collect()).unwrap()
    };
    (text(all), text(asking))
}

#[test]
fn only_the_last_turn_of_a_conversation_asks() {
    let mut guide = guide();
    let mut messages = question(Some("Be brief."), 1, FIRST);
    let (all, asking) = texts(&mut guide, &messages, &[picture()]);
    assert!(all.contains("Be brief.") && asking.contains(FIRST) && !asking.contains("Be brief."), "{asking}");

    messages.extend([Message::assistant("eight"), Message::user(SECOND)]);
    let (all, asking) = texts(&mut guide, &messages, &[picture()]);
    assert!(all.contains(FIRST) && all.contains("eight") && all.contains(SECOND), "{all}");
    assert!(asking.contains(SECOND) && !asking.contains(FIRST) && !asking.contains("eight"), "{asking}");

    // The same question twice: the first time it does not ask.
    messages.extend([Message::assistant("yes"), Message::user(SECOND)]);
    let (all, asking) = texts(&mut guide, &messages, &[picture()]);
    assert_eq!((all.matches(SECOND).count(), asking.matches(SECOND).count()), (2, 1), "{all}");

    // A picture that comes late: only what follows it can ask.
    messages.extend([Message::assistant("yes"), Message::user_with_pictures(1, FIRST)]);
    let (_, asking) = texts(&mut guide, &messages, &[picture(), picture()]);
    assert!(asking.contains(FIRST) && !asking.contains(SECOND), "{asking}");
}

#[test]
fn earlier_turns_add_nothing_to_the_importance() {
    let mut guide = guide();
    let options = GenerationOptions { n_predict: 1, observe: true, ..GenerationOptions::default() };
    let mut mass = |messages: &[Message]| -> f64 {
        let prepared = guide.prepare(messages, &[picture()], |_, _| {}).unwrap();
        let kept = Kept::all(prepared.prompt.n_visual());
        let generation = guide.answer(&prepared, &kept, &options, &mut |_, _| {}, &mut |_| {}).unwrap();
        generation.importance.unwrap().global().iter().sum()
    };
    let alone = question(None, 1, SECOND);
    let mut after = question(None, 1, &[FIRST; 20].join(" "));
    after.extend([Message::assistant("8"), Message::user(SECOND)]);
    // Attention that earlier turns take from the picture can only make this smaller; their own would multiply it.
    let (alone, after) = (mass(&alone), mass(&after));
    assert!(after > 0.0 && after < 1.1 * alone, "{alone} {after}");
}

#[test]
fn a_picture_is_encoded_once() {
    let mut guide = guide();
    let mut counts = |n_pictures| {
        let messages = question(None, n_pictures, FIRST);
        let prepared = guide.prepare(&messages, &vec![picture(); n_pictures], |_, _| {}).unwrap();
        (prepared.n_encoded, prepared.n_reused)
    };
    assert_eq!([counts(1), counts(1), counts(2)], [(1, 0), (0, 1), (0, 2)]);
    guide.clear_encoder_cache();
    assert_eq!(guide.encoder_cache_bytes(), 0);
}

#[test]
fn the_question_has_its_part_of_the_importance() {
    let mut guide = guide();
    let prepared = guide.prepare(&question(None, 1, "List every object."), &[picture()], |_, _| {}).unwrap();
    let kept = Kept::all(prepared.prompt.n_visual());
    let mut ask = |n_predict, observe| {
        let options = GenerationOptions { n_predict, observe, ..GenerationOptions::default() };
        let generation = guide.answer(&prepared, &kept, &options, &mut |_, _| {}, &mut |_| {}).unwrap();
        (generation.importance, generation.question_importance)
    };
    // A single token is never fed back, so nothing but the question asks.
    let (all, question) = ask(1, true);
    assert!(question.is_some() && all == question);
    let (longer, same) = ask(4, true);
    assert_eq!(same, question);
    let (longer, question) = (longer.unwrap().global(), question.unwrap().global());
    assert!(longer.iter().zip(&question).all(|(all, part)| all > part));
    assert_eq!(ask(1, false), (None, None));
}

#[test]
fn visual_tokens_are_counted_without_encoding() {
    let mut guide = guide();
    for n_pictures in 0..3 {
        let (messages, pictures) = (question(None, n_pictures, FIRST), vec![picture(); n_pictures]);
        let counted = guide.count_visual(&messages, &pictures).unwrap();
        assert_eq!(guide.encoder_cache_bytes() == 0, n_pictures < 2);
        let prepared = guide.prepare(&messages, &pictures, |_, _| {}).unwrap();
        assert_eq!((counted, counted), (prepared.prompt.n_visual(), 256 * n_pictures));
        assert_eq!(prepared.visual_rows().len(), counted);
    }
    assert!(guide.count_visual(&question(None, 1, FIRST), &[]).is_err());
}
