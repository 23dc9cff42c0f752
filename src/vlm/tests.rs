use super::plan::{Input, plan};
use super::*;
use crate::fixtures::{self, Family, FixturePair};
use crate::gguf::WeightType;
use crate::grammar::Grammar;
use crate::guidance::Kept;
use crate::llama::Token;
use crate::media::{Limits, Picture};

const FIRST: &str = "Read the label of the white circle.";
const SECOND: &str = "Does the image contain a white square?";

fn guide() -> Vlm {
    load(Role::Guide, "guide")
}

fn target() -> Vlm {
    load(Role::Target, "target")
}

fn load(role: Role, name: &str) -> Vlm {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let options = VlmOptions {
        model: models.join(format!("{name}.gguf")),
        mmproj: models.join(format!("mmproj-{name}.gguf")),
        n_gpu_layers: Some(0),
        context: ContextOptions { n_threads: Some(1), ..ContextOptions::default() },
        encoder_cache_bytes: 1 << 24,
        ..VlmOptions::default()
    };
    Vlm::load(role, options, |_| {}).unwrap()
}

fn picture() -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pictures/flat.png");
    Picture::open(path, &Limits::default()).unwrap()
}

/// Text of the prompt's tokens, and of those among them that ask.
fn texts(vlm: &mut Vlm, messages: &[Message], pictures: &[Picture]) -> (String, String) {
    let prepared = vlm.prepare(messages, pictures, |_, _| {}).unwrap();
    let groups = plan(&prepared.prompt, &Kept::all(prepared.prompt.n_visual()), &[], true);
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
fn no_device_and_no_layer_are_the_processor() {
    let options = |devices: Option<&[&str]>, n_gpu_layers| {
        let devices = devices.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        VlmOptions { devices, n_gpu_layers, ..VlmOptions::default() }
    };
    let may = |options: VlmOptions| (options.is_cpu_only(), options.may_use("cuda0"), options.may_use("CUDA1"));
    assert_eq!(may(options(None, None)), (false, true, true));
    assert_eq!(may(options(Some(&["CUDA0"]), None)), (false, true, false));
    assert_eq!(may(options(Some(&[]), Some(99))), (true, false, false));
    assert_eq!(may(options(Some(&["CUDA0"]), Some(0))), (true, false, false));
}

/// A tiny target whose layers see 24 tokens, or one that reads pictures without the causal mask as well.
fn windowed(dir: &Path, family: Family) -> Vlm {
    let mut shape = family.tiny();
    shape.text.window = 24;
    let FixturePair { model, mmproj } = fixtures::write(family, &shape, 1, WeightType::F16, dir).unwrap();
    let options = VlmOptions {
        model,
        mmproj,
        n_gpu_layers: Some(0),
        context: ContextOptions { n_threads: Some(1), n_ubatch: 64, ..ContextOptions::default() },
        encoder_cache_bytes: 1 << 24,
        ..VlmOptions::default()
    };
    Vlm::load(Role::Target, options, |_| {}).unwrap()
}

#[test]
fn what_a_window_has_lost_is_read_again() {
    for family in [Family::Gemma3, Family::Gemma4] {
        let dir = tempfile::tempdir().unwrap();
        let mut target = windowed(dir.path(), family);
        let messages = question(Some("Look at the picture, and say little."), 1, FIRST);
        let prepared = target.prepare(&messages, &[picture()], |_, _| {}).unwrap();
        let n_visual = prepared.prompt.n_visual();
        let mut answer = |kept: &Kept, n_predict, afresh| {
            let options = GenerationOptions {
                n_predict,
                ignore_end: true,
                n_alternatives: Some(0),
                afresh,
                ..GenerationOptions::default()
            };
            let generation = target.answer(&prepared, kept, &options, &mut |_, _| {}, &mut |_| {}).unwrap();
            (generation.n_held, generation.probabilities.iter().map(|p| p.log_probability).collect::<Vec<_>>())
        };
        let last = n_visual - 1;
        for (one, other) in
            [(vec![last], vec![0]), (vec![0], vec![last]), (vec![0, 1, last], vec![0]), (vec![0], vec![0, 1])]
        {
            let [one, other] = [one, other].map(|kept| Kept::from_indices(n_visual, kept).unwrap());
            // Long enough that the cache of such layers has come round.
            answer(&one, 300, true);
            let (n_held, after) = answer(&other, 20, false);
            let (_, afresh) = answer(&other, 20, true);
            let far = after.iter().zip(&afresh).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
            assert!(far < 1e-3, "{}: {far} with {n_held} held", family.name());
        }
    }
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

/// Answers with all visual tokens.
fn answer(vlm: &mut Vlm, messages: &[Message], options: &GenerationOptions) -> Generation {
    let prepared = vlm.prepare(messages, &[picture()], |_, _| {}).unwrap();
    let kept = Kept::all(prepared.prompt.n_visual());
    vlm.answer(&prepared, &kept, options, &mut |_, _| {}, &mut |_| {}).unwrap()
}

#[test]
fn a_second_question_reads_only_what_is_new() {
    let mut guide = guide();
    let options = GenerationOptions { n_predict: 8, observe: true, ..GenerationOptions::default() };
    let [first, second] = [FIRST, SECOND].map(|text| question(Some("Be brief."), 1, text));
    let before = answer(&mut guide, &first, &options);
    assert_eq!(before.n_held, 0);
    let prepared = guide.prepare(&first, &[picture()], |_, _| {}).unwrap();
    let scored = guide.score(&prepared, &Kept::all(256), &before.tokens).unwrap();
    assert!(scored.iter().zip(&before.log_probabilities).all(|(a, b)| (a - b).abs() < 5e-3), "{scored:?}");

    // The consistency pass has left the picture where it was.
    let again = answer(&mut guide, &second, &options);
    assert!(again.n_held > 256 && again.n_held < again.n_prompt, "{} of {}", again.n_held, again.n_prompt);
    let afresh = answer(&mut guide, &second, &GenerationOptions { afresh: true, ..options.clone() });
    assert_eq!((afresh.n_held, &afresh.tokens), (0, &again.tokens));
    let [one, other] = [again, afresh].map(|generation| generation.importance.unwrap().global());
    let total: f64 = other.iter().sum();
    let distance: f64 = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).sum();
    assert!(distance < 5e-3 * total, "{distance} of {total}");

    // The same question again asks again.
    assert_eq!(answer(&mut guide, &second, &options).importance.unwrap().global().len(), 256);
    guide.clear_encoder_cache();
    assert!(answer(&mut guide, &second, &options).n_held > 256, "what the cells hold is known by its content");
}

#[test]
fn other_pictures_are_read() {
    let mut guide = guide();
    let options = GenerationOptions { n_predict: 4, ..GenerationOptions::default() };
    let messages = question(None, 1, FIRST);
    answer(&mut guide, &messages, &options);
    let grey = Picture::from_rgb(448, 448, vec![128; 3 * 448 * 448]).unwrap();
    let prepared = guide.prepare(&messages, &[grey], |_, _| {}).unwrap();
    let kept = Kept::all(prepared.prompt.n_visual());
    let generation = guide.answer(&prepared, &kept, &options, &mut |_, _| {}, &mut |_| {}).unwrap();
    assert!(generation.n_held < 16, "{}", generation.n_held);
}

#[test]
fn a_draft_changes_nothing_but_the_time() {
    let mut target = target();
    let messages = question(None, 1, "List every object.");
    for temperature in [0.0, 1.5] {
        let sampling = crate::llama::SamplingOptions { temperature, seed: 7, ..Default::default() };
        let options = GenerationOptions { n_predict: 24, sampling, ignore_end: true, ..GenerationOptions::default() };
        let plain = answer(&mut target, &messages, &options);
        assert_eq!((plain.tokens.len(), plain.draft), (24, DraftReport::default()));
        let mut misled = plain.tokens.clone();
        misled[3] = 1;
        misled.insert(10, 2);
        for (draft, least) in [(plain.tokens.clone(), 20), (misled, 3), (vec![1; 30], 0)] {
            let drafted = answer(&mut target, &messages, &GenerationOptions { draft, ..options.clone() });
            assert_eq!((&drafted.tokens, &drafted.text), (&plain.tokens, &plain.text));
            assert!(drafted.draft.accepted >= least, "{:?}", drafted.draft);
        }
    }
}

#[test]
fn a_draft_ends_where_the_answer_ends() {
    let mut target = target();
    let messages = question(None, 1, FIRST);
    let options = GenerationOptions { n_predict: 16, ..GenerationOptions::default() };
    let plain = answer(&mut target, &messages, &options);
    assert_eq!(plain.finish, Finish::Stop);
    let mut draft = plain.tokens.clone();
    draft.pop();
    draft.extend([5, 6, 7]);
    let drafted = answer(&mut target, &messages, &GenerationOptions { draft: draft.clone(), ..options.clone() });
    assert_eq!((drafted.tokens, drafted.finish), (plain.tokens.clone(), Finish::Stop));
    let short = GenerationOptions { draft, n_predict: 1, ..options };
    let short = answer(&mut target, &messages, &short);
    assert_eq!((short.tokens.as_slice(), short.finish), (&plain.tokens[..1], Finish::Length));
}

#[test]
fn tiles_that_hold_nothing_kept_are_not_encoded() {
    let mut target = target();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/held-out-large/images/0021.png");
    let pictures = [Picture::open(path, &Limits::default()).unwrap()];
    let messages = question(None, 1, FIRST);
    let whole = target.prepare(&messages, &pictures, |_, _| {}).unwrap();
    assert_eq!((whole.n_images(), whole.n_encoded), (3, 3));
    let tile_of = whole.prompt.tile_of();
    let in_second =
        tile_of.iter().enumerate().filter(|(token, tile)| **tile == 1 && token % 5 == 0).map(|(token, _)| token);
    let kept = Kept::from_indices(tile_of.len(), in_second.collect()).unwrap();
    assert_eq!(whole.prompt.needed(&kept), [false, true, false]);
    let logits = target.prompt_logits(&whole, &kept).unwrap();

    target.clear_encoder_cache();
    let mut sparse = target.read(&messages, &pictures).unwrap();
    assert_eq!((sparse.n_encoded, sparse.encode_ms), (0, None));
    target.encode(&mut sparse, &kept, |_, _| {}).unwrap();
    assert_eq!(sparse.n_encoded, 1);
    assert_eq!(target.prompt_logits(&sparse, &kept).unwrap(), logits);
    // What is missing is said, not made up.
    assert!(target.prompt_logits(&sparse, &Kept::all(tile_of.len())).is_err());
    target.encode(&mut sparse, &Kept::all(tile_of.len()), |_, _| {}).unwrap();
    assert_eq!(sparse.n_encoded, 3);
}

#[test]
fn an_answer_ends_before_its_stop_string() {
    let mut target = target();
    let messages = question(None, 1, "List every object.");
    let options = GenerationOptions { n_predict: 24, ..GenerationOptions::default() };
    let plain = answer(&mut target, &messages, &options);
    // A stop string in the middle of the answer, which begins and ends within words.
    let chars: Vec<char> = plain.text.chars().collect();
    assert!(chars.len() > 12, "{}", plain.text);
    let stop: String = chars[5..10].iter().collect();
    let expected = plain.text.split(&stop).next().unwrap();
    for draft in [Vec::new(), plain.tokens.clone()] {
        let options = GenerationOptions { stop: vec![stop.clone()], n_alternatives: Some(0), draft, ..options.clone() };
        let stopped = answer(&mut target, &messages, &options);
        assert_eq!((stopped.text.as_str(), stopped.finish), (expected, Finish::Stop));
        assert!(stopped.tokens.len() < plain.tokens.len() && plain.tokens.starts_with(&stopped.tokens));
        let told: Vec<u8> = stopped.probabilities.iter().flat_map(|token| token.bytes.clone()).collect();
        assert!(told.starts_with(expected.as_bytes()) && stopped.probabilities.len() <= stopped.tokens.len());
    }
}

#[test]
fn probabilities_are_those_of_the_tokens() {
    let mut guide = guide();
    let messages = question(None, 1, FIRST);
    let options =
        GenerationOptions { n_predict: 16, observe: true, n_alternatives: Some(3), ..GenerationOptions::default() };
    let generation = answer(&mut guide, &messages, &options);
    assert_eq!(generation.finish, Finish::Stop);
    let n = generation.tokens.len() - 1; // the end is no part of the text
    assert_eq!(generation.probabilities.len(), n);
    for (index, token) in generation.probabilities.iter().enumerate() {
        assert_eq!(token.token, generation.tokens[index]);
        assert_eq!(token.log_probability, generation.log_probabilities[index]);
        assert_eq!(token.alternatives.len(), 3);
        assert_eq!(token.alternatives[0].token, token.token, "greedy");
        assert!(token.alternatives.windows(2).all(|pair| pair[0].log_probability >= pair[1].log_probability));
    }
    let text: Vec<u8> = generation.probabilities.iter().flat_map(|token| token.bytes.clone()).collect();
    assert_eq!(String::from_utf8(text).unwrap(), generation.text);
}

#[test]
fn a_grammar_binds_every_answer_and_no_draft_changes_it() {
    let mut target = target();
    let messages = question(None, 1, FIRST);
    let grammar = Some(Grammar::gbnf(r#"root ::= "label: " [A-Z] [A-Z0-9]*"#));
    let options = GenerationOptions { n_predict: 16, grammar, ..GenerationOptions::default() };
    let bound = answer(&mut target, &messages, &options);
    assert!(bound.text.starts_with("label: "), "{}", bound.text);
    let free = answer(&mut target, &messages, &GenerationOptions { grammar: None, ..options.clone() });
    for draft in [bound.tokens.clone(), free.tokens] {
        let drafted = answer(&mut target, &messages, &GenerationOptions { draft, ..options.clone() });
        assert_eq!(drafted.tokens, bound.tokens);
    }
    let broken = GenerationOptions { grammar: Some(Grammar::gbnf("root ::= (")), ..options.clone() };
    let prepared = target.prepare(&messages, &[picture()], |_, _| {}).unwrap();
    let kept = Kept::all(prepared.prompt.n_visual());
    let error = target.answer(&prepared, &kept, &broken, &mut |_, _| {}, &mut |_| {}).unwrap_err();
    assert!(matches!(error, VlmError::Llama(LlamaError::Grammar { .. })), "{error}");
    assert_eq!(answer(&mut target, &messages, &options).tokens, bound.tokens, "nothing is left of it");
}
