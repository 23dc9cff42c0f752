//! The model's own chat template: messages in, a prompt cut where the pictures go out.
//!
//! A picture travels through the template as plain text, a marker whose delimiter occurs nowhere else, so
//! the template sees a text-only conversation and no text can forge a picture. The model's own begin and end tokens of a
//! picture are the vision library's business.
//!
//! What a template can do is found out once, by rendering probes: whether it wants `content` as one string or as typed
//! parts (string when both work), and whether it shows a system message. Where it does not, system text is put before the
//! text of the next user message, two newlines between them.

mod clock;
mod engine;
mod error;
mod json;
mod marker;
mod message;
mod turn;

use minijinja::{Value, context};

pub(crate) use clock::today;
pub use error::ChatError;
pub use message::{Message, Part, PromptPart, Role};

use engine::Engine;
use marker::Marker;
use turn::Turn;

/// ChatML, for a model that carries no template. Most small models know its tokens; a model that does not will answer
/// badly, so whether to fall back is the caller's choice.
pub const CHATML: &str = "\
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}";

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
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<Vec<PromptPart>, ChatError> {
        if messages.is_empty() {
            return Err(ChatError::NoMessages);
        }
        let texts = messages.iter().flat_map(Message::texts);
        let marker = Marker::absent_from(self.engine.texts().chain(texts))?;
        let mut turns = turn::marked(messages, marker);
        if !self.shows_system {
            turns = turn::folded(turns);
        }
        let prompt = self.render_turns(&turns, add_generation_prompt)?;
        self.check_none_dropped(&turns, &prompt, marker, add_generation_prompt)?;
        let expected = messages.iter().map(Message::n_pictures).sum();
        marker.cut(&prompt, expected)
    }

    /// Whether the template wrote the beginning-of-sequence token into `prompt`, so that the tokenizer must not add one.
    /// Text of a message that looks like the token does not count.
    pub fn starts_with_bos(&self, prompt: &[PromptPart]) -> bool {
        self.writes_bos && matches!(prompt.first(), Some(PromptPart::Text(text)) if self.engine.begins_with_bos(text))
    }

    fn render_turns(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<String, ChatError> {
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
        self.engine.render(messages, add_generation_prompt, text_bytes)
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
        let missing: Vec<(usize, &Turn)> = turns
            .iter()
            .enumerate()
            .filter(|(_, turn)| turn.role != Role::Assistant && !prompt.contains(turn.text.trim()))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let roles: Vec<Role> = turns.iter().map(|turn| turn.role).collect();
        let shown = self.probe_turns(&roles, marker, add_generation_prompt)?.0;
        match missing.into_iter().find(|(n, _)| !shown.contains(n)) {
            Some((_, turn)) => Err(ChatError::Dropped { index: turn.index, role: turn.role.name() }),
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
            match self.probe_turns(roles, marker, true) {
                Ok((shown, prompt)) if shown.iter().copied().eq(0..roles.len()) => {
                    self.writes_bos = self.engine.begins_with_bos(&prompt);
                    usable = true;
                    break;
                }
                Ok(_) => {}
                Err(ChatError::Endless) => return Err(ChatError::Endless),
                Err(error) if reason == ChatError::Unusable => reason = error,
                Err(_) => {}
            }
        }
        if !usable {
            return Err(reason);
        }
        self.shows_system = match self.probe_turns(&[System, User], marker, true) {
            Ok((shown, prompt)) => {
                self.writes_bos |= self.engine.begins_with_bos(&prompt);
                shown.contains(&0) && shown.contains(&1)
            }
            Err(ChatError::Endless) => return Err(ChatError::Endless),
            Err(_) => false,
        };
        Ok(())
    }

    /// Renders a marker as the text of each turn: the turns that are shown, and the prompt.
    fn probe_turns(
        &self,
        roles: &[Role],
        marker: Marker,
        add_generation_prompt: bool,
    ) -> Result<(Vec<usize>, String), ChatError> {
        let turn = |(index, &role)| Turn { index, role, text: marker.mark(index) };
        let turns: Vec<Turn> = roles.iter().enumerate().map(turn).collect();
        let prompt = self.render_turns(&turns, add_generation_prompt)?;
        Ok((marker.found(&prompt), prompt))
    }
}

#[cfg(test)]
mod tests;
