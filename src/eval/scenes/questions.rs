//! Questions about a scene, each with its one right answer.

use super::{COLOURS, Colour, Item, SHAPES, Scene, Shape};
use fastrand::Rng;
use std::fmt;

/// Draws of a question until one that was asked already is asked again.
const TRIES: usize = 8;

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The character on the item of a colour and shape.
    Label,
    /// The colour of the item with a label.
    Colour,
    /// The shape of the item with a label.
    Shape,
    /// Whether there is an item of a colour and shape: `yes` or `no`.
    Exist,
    /// How many items have a shape.
    CountShape,
    /// How many items have a colour.
    CountColour,
}

/// A question with its gold answer, which a right answer equals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it asks for.
    pub kind: Kind,
    /// The question, without chat template.
    pub text: String,
    /// One word, character or number.
    pub answer: String,
}

/// The questions that a scene is examined by: two labels, a colour, a shape, a yes or no, and a count, of a colour where the
/// scene's seed is even and of a shape where it is odd.
///
/// The two labels are of different items unless all of several draws are the same.
pub fn examined(scene: &Scene) -> Vec<Question> {
    let count = if scene.seed.is_multiple_of(2) { Kind::CountColour } else { Kind::CountShape };
    let mut random = Rng::with_seed(!scene.seed).fork();
    let mut asked: Vec<Question> = Vec::new();
    for kind in [Kind::Label, Kind::Label, Kind::Colour, Kind::Shape, Kind::Exist, count] {
        let mut question = ask(kind, scene.items(), &mut random);
        for _ in 1..TRIES {
            if asked.iter().all(|other| other.text != question.text) {
                break;
            }
            question = ask(kind, scene.items(), &mut random);
        }
        asked.push(question);
    }
    asked
}

impl Kind {
    fn wordings(self) -> &'static [&'static str] {
        match self {
            Kind::Label => &[
                "What is the label on the {colour} {shape}?",
                "Which character is on the {colour} {shape}?",
                "Read the label of the {colour} {shape}.",
                "What does the {colour} {shape} say?",
            ],
            Kind::Colour => &[
                "What colour is the shape labelled {label}?",
                "What color is the object with label {label}?",
                "Tell me the colour of the shape labelled {label}.",
            ],
            Kind::Shape => &[
                "What shape is labelled {label}?",
                "Which shape carries the label {label}?",
                "Tell me the shape with label {label}.",
            ],
            Kind::Exist => &[
                "Is there {article} {colour} {shape}?",
                "Can you see {article} {colour} {shape}?",
                "Does the image contain {article} {colour} {shape}?",
            ],
            Kind::CountShape => &["How many {plural} are there?", "Count the {plural}."],
            Kind::CountColour => &["How many {colour} shapes are there?", "Count the {colour} objects."],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Label => "label",
            Kind::Colour => "colour",
            Kind::Shape => "shape",
            Kind::Exist => "exist",
            Kind::CountShape => "count_shape",
            Kind::CountColour => "count_colour",
        })
    }
}

fn ask(kind: Kind, items: &[Item], random: &mut Rng) -> Question {
    let wording = pick(kind.wordings(), random);
    let (text, answer) = match kind {
        Kind::Label | Kind::Colour | Kind::Shape => {
            let item = &items[random.usize(..items.len())];
            let text = wording
                .replace("{colour}", &item.colour.to_string())
                .replace("{shape}", &item.shape.to_string())
                .replace("{label}", &item.label.to_string());
            let answer = match kind {
                Kind::Label => item.label.to_string(),
                Kind::Colour => item.colour.to_string(),
                _ => item.shape.to_string(),
            };
            (text, answer)
        }
        Kind::Exist => {
            let present = random.bool();
            let (colour, shape) = subject(present, items, random);
            let article = if colour == Colour::Orange { "an" } else { "a" };
            let text = wording
                .replace("{article}", article)
                .replace("{colour}", &colour.to_string())
                .replace("{shape}", &shape.to_string());
            (text, if present { "yes" } else { "no" }.to_owned())
        }
        Kind::CountShape => {
            let shape = pick(&SHAPES, random);
            let count = items.iter().filter(|item| item.shape == shape).count();
            (wording.replace("{plural}", &shape.plural()), count.to_string())
        }
        Kind::CountColour => {
            let colour = pick(&COLOURS, random);
            let count = items.iter().filter(|item| item.colour == colour).count();
            (wording.replace("{colour}", &colour.to_string()), count.to_string())
        }
    };
    Question { kind, text, answer }
}

/// A colour and shape that is in the scene, or one that is not: a colour and a shape of different items, where there are such.
fn subject(present: bool, items: &[Item], random: &mut Rng) -> (Colour, Shape) {
    let is_in = |colour, shape| items.iter().any(|item| (item.colour, item.shape) == (colour, shape));
    let pairs = |near: bool| -> Vec<(Colour, Shape)> {
        let all = COLOURS.iter().flat_map(|&colour| SHAPES.map(|shape| (colour, shape)));
        all.filter(|&(colour, shape)| {
            is_in(colour, shape) == present
                && (!near || items.iter().any(|i| i.colour == colour) && items.iter().any(|i| i.shape == shape))
        })
        .collect()
    };
    let mut choices = pairs(true);
    if choices.is_empty() {
        choices = pairs(false);
    }
    pick(&choices, random)
}

fn pick<T: Copy>(choices: &[T], random: &mut Rng) -> T {
    choices[random.usize(..choices.len())]
}
