//! What is asked: a benchmark's question inside the prompt that a family of models is evaluated with.
//!
//! The prompts for InternVL are those of its evaluation code, which the paper's experiments use; the one for short answers
//! stands behind the question with a space, elsewhere on a line of its own, as VLMEvalKit and LLaVA have it.

use thiserror::Error;

use crate::eval::sample::Sample;

/// Models that are asked in the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// InternVL and its descendants.
    InternVl,
    /// Qwen2-VL.
    Qwen2Vl,
    /// Qwen2.5-VL.
    Qwen25Vl,
    /// Qwen3-VL and Qwen3.5.
    Qwen3Vl,
    /// Gemma 3 and 4.
    Gemma3,
    /// LLaVA 1.5 and 1.6.
    Llava,
    /// MiniCPM-V.
    MiniCpmV,
    /// Any other.
    Other,
}

/// All families.
pub const FAMILIES: [Family; 8] = [
    Family::InternVl,
    Family::Qwen2Vl,
    Family::Qwen25Vl,
    Family::Qwen3Vl,
    Family::Gemma3,
    Family::Llava,
    Family::MiniCpmV,
    Family::Other,
];

/// What the numbers of a box mean in a family's answers: left, top, right and bottom in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxUnit {
    /// Shares of the picture's width and height, 0 to 1. LLaVA 1.5 means the square that it pads a picture to.
    Shares,
    /// Thousandths of the picture's width and height.
    Thousandths,
    /// Pixels of the picture as the encoder gets it, after resizing.
    InputPixels,
}

impl Family {
    /// The family of a model: `architecture` of the text model, `projector_type` of the mmproj, as their GGUF files say.
    pub fn of(architecture: &str, projector_type: Option<&str>) -> Self {
        match projector_type.unwrap_or_default() {
            "internvl" => Self::InternVl,
            "qwen2vl_merger" => Self::Qwen2Vl,
            "qwen2.5vl_merger" | "qwen2.5o" => Self::Qwen25Vl,
            "qwen3vl_merger" => Self::Qwen3Vl,
            "gemma3" | "gemma3nv" | "gemma4v" | "gemma4uv" => Self::Gemma3,
            "mlp" => Self::Llava,
            "resampler" | "minicpmv4_6" => Self::MiniCpmV,
            "" => match architecture {
                "qwen2vl" => Self::Qwen2Vl,
                "qwen3vl" | "qwen3vlmoe" => Self::Qwen3Vl,
                "gemma3" | "gemma3n" | "gemma4" => Self::Gemma3,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// Its name in listings and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::InternVl => "internvl",
            Self::Qwen2Vl => "qwen2-vl",
            Self::Qwen25Vl => "qwen2.5-vl",
            Self::Qwen3Vl => "qwen3-vl",
            Self::Gemma3 => "gemma3",
            Self::Llava => "llava",
            Self::MiniCpmV => "minicpm-v",
            Self::Other => "other",
        }
    }

    /// What the numbers of its boxes mean, asked with [`template`]'s prompt.
    pub fn box_unit(self) -> BoxUnit {
        match self {
            Self::Qwen25Vl => BoxUnit::InputPixels,
            Self::Llava => BoxUnit::Shares,
            _ => BoxUnit::Thousandths,
        }
    }
}

const SHORT_ANSWER: &[&str] = &["textvqa", "chartqa", "docvqa", "gqa", "mme"];
const MULTIPLE_CHOICE: &[&str] = &["seedbench", "mmbench"];
const GROUNDING: &[&str] = &["refcoco", "refcoco+", "refcocog"];

use Family::{InternVl, Llava, MiniCpmV, Qwen2Vl, Qwen3Vl, Qwen25Vl};

/// Benchmarks, families (none for all), prompt; the first row that fits holds.
#[rustfmt::skip]
const TABLE: &[(&[&str], &[Family], &str)] = &[
    (SHORT_ANSWER, &[InternVl], "{question} Answer the question using a single word or phrase."),
    (SHORT_ANSWER, &[], "{question}\nAnswer the question using a single word or phrase."),
    (MULTIPLE_CHOICE, &[], "{hint}\n{question}\n{choices}\nAnswer with the option's letter from the given choices directly."),
    (GROUNDING, &[InternVl, MiniCpmV], "Please provide the bounding box coordinate of the region this sentence describes: <ref>{question}</ref>"),
    (GROUNDING, &[Qwen2Vl, Llava], "Please provide the bounding box coordinate of the region this sentence describes: {question}"),
    (GROUNDING, &[Qwen25Vl], "Locate {question} in this image and output the bbox coordinates in JSON format."),
    (GROUNDING, &[Qwen3Vl], "Locate every object that matches the description \"{question}\" in the image. Report bbox coordinates in JSON format."),
    (GROUNDING, &[], "Where is {question}? Answer with the bounding box alone, as [left, top, right, bottom] in thousandths of the image's width and height."),
];

/// The prompt of every other benchmark: what the sample holds.
const PLAIN: &str = "{hint}\n{question}\n{choices}";

/// The prompt that a benchmark's questions are put into.
pub fn template(benchmark: &str, family: Family) -> &'static str {
    let fits = |(benchmarks, families, _): &&(&[&str], &[Family], &str)| {
        benchmarks.contains(&benchmark) && (families.is_empty() || families.contains(&family))
    };
    TABLE.iter().find(fits).map_or(PLAIN, |(_, _, template)| template)
}

/// Why a template of one's own is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PromptError {
    /// A name in braces that means nothing.
    #[error("the prompt has the unknown placeholder `{{{0}}}`; known are {{question}}, {{hint}} and {{choices}}")]
    UnknownPlaceholder(String),
    /// Every question would be the same.
    #[error("the prompt has no placeholder `{{question}}`; put it where the question belongs")]
    NoQuestion,
}

/// Checks a template of one's own.
///
/// # Errors
///
/// On an unknown placeholder, that is a name of letters in braces, and without `{question}`.
pub fn check(template: &str) -> Result<(), PromptError> {
    let mut names = pieces(template).filter_map(|piece| match piece {
        Piece::Placeholder(name) => Some(name),
        Piece::Text(_) => None,
    });
    if let Some(name) = names.find(|name| !["question", "hint", "choices"].contains(name)) {
        return Err(PromptError::UnknownPlaceholder(name.to_owned()));
    }
    if !template.contains("{question}") {
        return Err(PromptError::NoQuestion);
    }
    Ok(())
}

/// The prompt for a sample. Choices are lines `A. ...`; a line of the template whose placeholders are all empty and that
/// holds nothing else is left out.
pub fn render(template: &str, sample: &Sample) -> String {
    let lines = template.split('\n').filter_map(|line| {
        let rendered: String = pieces(line).map(|piece| filled(piece, sample)).collect();
        (line.is_empty() || !rendered.is_empty()).then_some(rendered)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn filled(piece: Piece<'_>, sample: &Sample) -> String {
    match piece {
        Piece::Placeholder("question") => sample.question.clone(),
        Piece::Placeholder("hint") => sample.hint.clone().unwrap_or_default(),
        Piece::Placeholder("choices") => {
            let lines: Vec<String> =
                ('A'..='Z').zip(&sample.choices).map(|(letter, choice)| format!("{letter}. {choice}")).collect();
            lines.join("\n")
        }
        Piece::Placeholder(name) => format!("{{{name}}}"),
        Piece::Text(text) => text.to_owned(),
    }
}

enum Piece<'a> {
    Text(&'a str),
    /// A name of letters that stood in braces.
    Placeholder(&'a str),
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let is_name =
            |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if let Some(name) = rest.strip_prefix('{').and_then(|after| after.split('}').next()).filter(is_name)
            && rest.len() >= name.len() + 2
        {
            rest = &rest[name.len() + 2..];
            return Some(Piece::Placeholder(name));
        }
        let length = rest.char_indices().skip(1).find(|(_, c)| *c == '{').map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at(length);
        rest = after;
        (!text.is_empty()).then_some(Piece::Text(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::data::BENCHMARKS;
    use crate::eval::sample::Gold;

    fn sample(hint: Option<&str>, choices: &[&str]) -> Sample {
        Sample {
            id: "1".into(),
            group: "1".into(),
            kind: "all".into(),
            pictures: Vec::new(),
            question: "Is {hint} here?".into(),
            hint: hint.map(Into::into),
            choices: choices.iter().map(|&choice| choice.into()).collect(),
            gold: Gold::Unknown,
        }
    }

    #[test]
    fn prompts_of_the_table_are_good_and_used() {
        for (benchmarks, _, text) in TABLE {
            assert_eq!(check(text), Ok(()));
            for name in *benchmarks {
                assert!(BENCHMARKS.iter().any(|benchmark| benchmark.name == *name), "{name}");
                assert!(FAMILIES.iter().any(|&family| template(name, family) == *text), "{name}: {text}");
            }
        }
        assert_eq!(check(PLAIN), Ok(()));
        assert_eq!(template("jsonl", Family::Other), PLAIN);
    }

    #[test]
    fn questions_are_asked_as_each_family_is_evaluated() {
        let check = |benchmark, family, expect: &str| {
            assert_eq!(render(template(benchmark, family), &sample(None, &[])), expect);
        };
        check("textvqa", InternVl, "Is {hint} here? Answer the question using a single word or phrase.");
        check("mme", Family::Other, "Is {hint} here?\nAnswer the question using a single word or phrase.");
        check("mmvet", InternVl, "Is {hint} here?");
        check(
            "refcoco+",
            InternVl,
            "Please provide the bounding box coordinate of the region this sentence describes: <ref>Is {hint} here?</ref>",
        );
        let choices = render(template("mmbench", InternVl), &sample(Some("Look.\nThink."), &["red", "blue"]));
        let instruction = "Answer with the option's letter from the given choices directly.";
        assert_eq!(choices, format!("Look.\nThink.\nIs {{hint}} here?\nA. red\nB. blue\n{instruction}"));
        assert_eq!(render(PLAIN, &sample(None, &["x", "y"])), "Is {hint} here?\nA. x\nB. y");
    }

    #[test]
    fn templates_of_ones_own_are_checked() {
        let unknown = |name: &str| Err(PromptError::UnknownPlaceholder(name.into()));
        for good in
            ["{question}", "a {hint}\n\n{question} {choices}", "as {\"a\": 1} {}: {question} {", "{question}}{ x}"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("{questoin}"), unknown("questoin"));
        assert_eq!(check("{question} {{answer}}"), unknown("answer"));
        assert_eq!(check("What?"), Err(PromptError::NoQuestion));
        let message = check("{x}").unwrap_err().to_string();
        assert_eq!(message, "the prompt has the unknown placeholder `{x}`; known are {question}, {hint} and {choices}");
        let rendered = render("{\"a\"} {\n\n{hint}\n{question}!", &sample(None, &[]));
        assert_eq!(rendered, "{\"a\"} {\n\nIs {hint} here?!");
    }

    #[test]
    fn families_are_known_by_their_files() {
        let check = |architecture, projector, family| assert_eq!(Family::of(architecture, projector), family);
        check("qwen2", Some("internvl"), InternVl);
        check("qwen2vl", Some("qwen2vl_merger"), Qwen2Vl);
        check("qwen2vl", Some("qwen2.5vl_merger"), Qwen25Vl);
        check("qwen3vl", Some("qwen3vl_merger"), Qwen3Vl);
        check("gemma3", None, Family::Gemma3);
        check("llama", Some("mlp"), Llava);
        check("qwen2", Some("resampler"), MiniCpmV);
        check("qwen2", Some("idefics3"), Family::Other);
        check("", None, Family::Other);
    }
}
