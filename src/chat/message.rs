//! What goes into a template and what comes out of it.

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
        Self { role: Role::User, parts }
    }

    /// Pictures in this message.
    pub fn n_pictures(&self) -> usize {
        let pictures = self.parts.iter().filter(|part| **part == Part::Picture);
        pictures.count()
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Picture => None,
        })
    }

    fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())] }
    }
}
