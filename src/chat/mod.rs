//! The model's own chat template: messages in, a prompt cut where the pictures go out.
//!
//! A picture travels through the template as plain text, a marker whose delimiter occurs nowhere else (see
//! [`marker`](self::marker)), so the template sees a text-only conversation and no text can forge a picture. The model's
//! own begin and end tokens of a picture are the vision library's business.
//!
//! What a template can do is found out once, by rendering probes: whether it wants `content` as one string or as typed
//! parts (string when both work), and whether it shows a system message. Where it does not, system text is put before the
//! text of the next user message, two newlines between them.

mod clock;
mod engine;
mod json;
mod marker;

use minijinja::{Value, context};

use engine::Engine;
use marker::Marker;

/// ChatML, for a model that carries no template. Most small models know its tokens; a model that does not will answer
/// badly, so whether to fall back is the caller's choice.
pub const CHATML: &str = "\
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}";

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Standing instructions.
    System,
    /// Who asks.
    User,
    /// Who answers: the model.
    Assistant,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text, taken literally.
    Text(String),
    /// The next picture of the request.
    Picture,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order; neighbouring texts count as one.
    pub parts: Vec<Part>,
}

/// A piece of the rendered prompt: text to tokenize with special tokens on, or the place of the next picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptPart {
    /// Text, never empty, never beside another text.
    Text(String),
    /// The next picture of the request.
    Picture,
}

/// Why there is no prompt. Line numbers count from 1 in the template's source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The template does not parse.
    #[error("chat template, line {line}: {reason}; give another template")]
    Syntax {
        /// Where.
        line: usize,
        /// The parser's reason.
        reason: String,
    },
    /// The template parses but fails.
    #[error("chat template, line {line}: {reason}; give another template")]
    Failed {
        /// Where.
        line: usize,
        /// The engine's reason.
        reason: String,
    },
    /// The template itself called `raise_exception`.
    #[error("the chat template refuses these messages: {reason}")]
    Refused {
        /// The template's own words.
        reason: String,
    },
    /// The template does more work than any conversation of this size needs.
    #[error("the chat template does not finish within {fuel} steps; give another template")]
    Endless {
        /// The budget, in instructions of the engine.
        fuel: u64,
    },
    /// The template blows the conversation up.
    #[error("the chat template turns {text_bytes} bytes of messages into {prompt_bytes}; give another template")]
    TooLong {
        /// Size of the messages, in bytes.
        text_bytes: usize,
        /// Size of the prompt, in bytes.
        prompt_bytes: usize,
    },
    /// Neither a string nor typed parts come out of the template.
    #[error("the chat template shows no user text, given as a string or as typed parts; give another template")]
    Unusable,
    /// A message does not come out of the template.
    #[error("the chat template drops message {index} ({role}); give another template")]
    Dropped {
        /// Index of the message, from 0.
        index: usize,
        /// Its role, as templates write it.
        role: &'static str,
    },
    /// The pictures do not come out of the template once each and in order.
    #[error("the chat template puts the pictures in the order {found:?} instead of 0 to {}; give another template", .expected - 1)]
    Pictures {
        /// Pictures in the messages, at least one.
        expected: usize,
        /// The pictures as they came out.
        found: Vec<usize>,
    },
    /// There is nothing to render.
    #[error("there are no messages; give at least one")]
    NoMessages,
    /// The messages use every private-use character of Unicode, so none is left to mark pictures.
    #[error("the messages use every private-use character of Unicode; leave one out")]
    NoMarker,
}

/// A compiled chat template, its ways found out.
#[derive(Debug)]
pub struct ChatTemplate {
    engine: Engine,
    content: Content,
    shows_system: bool,
    writes_bos: bool,
}

/// How `message.content` is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    String,
    Typed,
}

/// A message on its way into the template, pictures already markers.
struct Turn {
    index: usize,
    role: Role,
    text: String,
}

impl Role {
    /// The role as templates write it: `system`, `user`, `assistant`.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

impl Message {
    /// Standing instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self::text(Role::System, text)
    }

    /// A question without a picture.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(Role::User, text)
    }

    /// An earlier answer.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text(Role::Assistant, text)
    }

    /// A question after `n_pictures` pictures.
    pub fn user_with_pictures(n_pictures: usize, text: impl Into<String>) -> Self {
        let mut parts = vec![Part::Picture; n_pictures];
        parts.push(Part::Text(text.into()));
        Self {
            role: Role::User,
            parts,
        }
    }

    fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            parts: vec![Part::Text(text.into())],
        }
    }
}

impl ChatTemplate {
    /// Compiles the Jinja `source` (`tokenizer.chat_template` of a GGUF) and probes it.
    ///
    /// The tokens are the vocabulary's texts of them, empty where it has none.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self, ChatError> {
        let mut template = Self {
            engine: Engine::new(source, bos_token, eos_token)?,
            content: Content::String,
            shows_system: true,
            writes_bos: false,
        };
        template.probe()?;
        Ok(template)
    }

    /// [`CHATML`], for a model without a template.
    pub fn chatml(bos_token: &str, eos_token: &str) -> Result<Self, ChatError> {
        Self::new(CHATML, bos_token, eos_token)
    }

    /// Renders the conversation, with the opening of the answer if `add_generation_prompt`.
    ///
    /// Every picture of the messages comes out once, in order; texts of the system and the user are never dropped.
    /// What comes out of a template that does otherwise is an error.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Vec<PromptPart>, ChatError> {
        if messages.is_empty() {
            return Err(ChatError::NoMessages);
        }
        let texts = messages.iter().flat_map(|message| &message.parts);
        let marker = Marker::absent_from(self.engine.texts().chain(texts.filter_map(|part| {
            match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Picture => None,
            }
        })))?;
        let mut turns = marked(messages, marker);
        if !self.shows_system {
            turns = folded(turns);
        }
        let prompt = self.render_turns(&turns, add_generation_prompt)?;
        self.check_none_dropped(&turns, &prompt, marker, add_generation_prompt)?;
        let expected = messages
            .iter()
            .flat_map(|message| &message.parts)
            .filter(|part| **part == Part::Picture)
            .count();
        marker.cut(&prompt, expected)
    }

    /// Whether the template wrote the beginning-of-sequence token into `prompt`, so that the tokenizer must not add one.
    /// Text of a message that looks like the token does not count.
    pub fn starts_with_bos(&self, prompt: &[PromptPart]) -> bool {
        self.writes_bos
            && matches!(prompt.first(), Some(PromptPart::Text(text)) if text.starts_with(self.engine.bos_token()))
    }

    fn render_turns(
        &self,
        turns: &[Turn],
        add_generation_prompt: bool,
    ) -> Result<String, ChatError> {
        let text_bytes = turns.iter().map(|turn| turn.text.len()).sum();
        let messages = turns.iter().map(|turn| {
            let role = turn.role.name();
            let text = turn.text.as_str();
            match self.content {
                Content::String => context! { role, content => text },
                Content::Typed => {
                    let part = context! { type => "text", text };
                    context! { role, content => vec![part] }
                }
            }
        });
        let messages = Value::from_iter(messages);
        self.engine
            .render(messages, add_generation_prompt, text_bytes)
    }

    /// Templates may trim or rewrite texts, so a text that is not found is a suspicion only: a marker in its place
    /// tells whether the message is shown. Answers are exempt, since templates drop earlier thinking from them.
    fn check_none_dropped(
        &self,
        turns: &[Turn],
        prompt: &str,
        marker: Marker,
        add_generation_prompt: bool,
    ) -> Result<(), ChatError> {
        let missing: Vec<usize> = (0..turns.len())
            .filter(|&n| turns[n].role != Role::Assistant && !prompt.contains(turns[n].text.trim()))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let probes: Vec<Turn> = turns
            .iter()
            .enumerate()
            .map(|(n, turn)| Turn {
                text: marker.mark(n),
                ..*turn
            })
            .collect();
        let shown = marker.found(&self.render_turns(&probes, add_generation_prompt)?);
        match missing.into_iter().find(|n| !shown.contains(n)) {
            Some(n) => Err(ChatError::Dropped {
                index: turns[n].index,
                role: turns[n].role.name(),
            }),
            None => Ok(()),
        }
    }

    /// Finds out the content type, system support and beginning-of-sequence token.
    fn probe(&mut self) -> Result<(), ChatError> {
        use Role::{Assistant, System, User};
        let marker = Marker::absent_from(self.engine.texts())?;
        let dialogue = [User, Assistant, User];
        let mut reason = ChatError::Unusable;
        let mut usable = false;
        // A whole dialogue tells more; a template for single questions only is welcome too.
        for (roles, content) in [
            (&dialogue[..], Content::String),
            (&dialogue[..], Content::Typed),
            (&dialogue[..1], Content::String),
            (&dialogue[..1], Content::Typed),
        ] {
            self.content = content;
            match self.probe_turns(roles, marker) {
                Ok((shown, prompt)) if shown.iter().copied().eq(0..roles.len()) => {
                    self.writes_bos = self.engine.is_bos_at_start(&prompt);
                    usable = true;
                    break;
                }
                Ok(_) => {}
                Err(error @ ChatError::Endless { .. }) => return Err(error),
                Err(error) if reason == ChatError::Unusable => reason = error,
                Err(_) => {}
            }
        }
        if !usable {
            return Err(reason);
        }
        self.shows_system = match self.probe_turns(&[System, User], marker) {
            Ok((shown, prompt)) => {
                self.writes_bos |= self.engine.is_bos_at_start(&prompt);
                shown.contains(&0) && shown.contains(&1)
            }
            Err(_) => false,
        };
        Ok(())
    }

    fn probe_turns(
        &self,
        roles: &[Role],
        marker: Marker,
    ) -> Result<(Vec<usize>, String), ChatError> {
        let turns: Vec<Turn> = roles
            .iter()
            .enumerate()
            .map(|(index, &role)| Turn {
                index,
                role,
                text: marker.mark(index),
            })
            .collect();
        let prompt = self.render_turns(&turns, true)?;
        Ok((marker.found(&prompt), prompt))
    }
}

fn marked(messages: &[Message], marker: Marker) -> Vec<Turn> {
    let mut pictures = 0..;
    let text = |parts: &[Part], pictures: &mut std::ops::RangeFrom<usize>| {
        parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Picture => pictures.next().map(|n| marker.mark(n)).unwrap_or_default(),
            })
            .collect()
    };
    messages
        .iter()
        .enumerate()
        .map(|(index, message)| Turn {
            index,
            role: message.role,
            text: text(&message.parts, &mut pictures),
        })
        .collect()
}

/// Puts every system text before the next user text; what no user message follows becomes a user message.
fn folded(turns: Vec<Turn>) -> Vec<Turn> {
    let mut folded = Vec::new();
    let mut pending: Option<Turn> = None;
    for mut turn in turns {
        match (turn.role, pending.take()) {
            (Role::System, Some(mut earlier)) => {
                earlier.text += "\n\n";
                earlier.text += &turn.text;
                pending = Some(earlier);
            }
            (Role::System, None) => pending = Some(turn),
            (Role::User, Some(system)) => {
                turn.text = system.text + "\n\n" + &turn.text;
                folded.push(turn);
            }
            (Role::Assistant, waiting @ Some(_)) => {
                pending = waiting;
                folded.push(turn);
            }
            (_, None) => folded.push(turn),
        }
    }
    folded.extend(pending.map(|turn| Turn {
        role: Role::User,
        ..turn
    }));
    folded
}

#[cfg(test)]
mod tests;
