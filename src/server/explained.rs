//! What a request shows of the guide's attention.

use super::app::Admission;
use super::request::Explain;
use crate::chat::{Message, Part, Role};
use crate::explain::{ExplainError, Explanation, PictureTokens};
use crate::guidance::Policy;
use crate::media::Picture;
use crate::pipeline::Outcome;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// The attention on the pictures, in the form that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Explained {
    /// A heat map of each picture: a PNG file in a data URL.
    Images(Vec<String>),
    /// The visual tokens of each picture.
    Pictures(Vec<PictureTokens>),
}

/// What drawing takes of a request, kept until it is answered.
#[derive(Debug)]
pub struct Explainer {
    form: Explain,
    policy: Policy,
    question: String,
    pictures: Vec<Picture>,
    /// Pictures take memory as long as they are here.
    _place: Admission,
}

impl Explainer {
    /// `None` where nothing is to be shown.
    pub fn new(
        form: Explain,
        policy: Policy,
        messages: &[Message],
        pictures: &[Picture],
        place: &Admission,
    ) -> Option<Self> {
        let pictures = || pictures.to_vec();
        let explainer =
            || Self { form, policy, question: asked(messages), pictures: pictures(), _place: place.clone() };
        (form != Explain::No).then(explainer)
    }

    /// Draws. Takes a while for large pictures.
    ///
    /// # Errors
    /// Those of drawing.
    pub fn explain(&self, outcome: &Outcome) -> Result<Explained, ExplainError> {
        if self.pictures.is_empty() {
            return Ok(match self.form {
                Explain::Tokens => Explained::Pictures(Vec::new()),
                Explain::No | Explain::Image => Explained::Images(Vec::new()),
            });
        }
        let explanation = Explanation::new(outcome, &self.question, self.policy, None)?;
        let pictures = self.pictures.iter().enumerate();
        if self.form == Explain::Tokens {
            let tokens = pictures.map(|(number, picture)| explanation.tokens(picture, number, false));
            return Ok(Explained::Pictures(tokens.collect()));
        }
        let url = |(number, picture): (usize, &Picture)| {
            let png = explanation.heat_map(picture, number)?;
            Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)))
        };
        Ok(Explained::Images(pictures.map(url).collect::<Result<_, ExplainError>>()?))
    }
}

/// What the user asked last.
fn asked(messages: &[Message]) -> String {
    let last = messages.iter().rfind(|message| message.role == Role::User);
    let parts = last.iter().flat_map(|message| &message.parts);
    parts.filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect()
}
