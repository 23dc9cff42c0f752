//! Messages and pictures so far.

use sgl::chat::{Message, Part, Role};
use sgl::guidance::Retain;
use sgl::media::Picture;
use sgl::pipeline::Request;

/// A conversation, from which a turn that fails leaves no trace.
pub struct Conversation {
    /// Its last pictures wait for the next message.
    request: Request,
    n_waiting: usize,
    /// Messages that a reset leaves: the standing instructions.
    n_first: usize,
}

impl Conversation {
    /// Nothing said yet; `settings` are those of every turn.
    pub fn new(settings: Request, system: Option<&str>) -> Self {
        let messages: Vec<Message> = system.map(Message::system).into_iter().collect();
        let n_first = messages.len();
        Self { request: Request { messages, pictures: Vec::new(), ..settings }, n_waiting: 0, n_first }
    }

    /// Adds a picture to the next message.
    pub fn add(&mut self, picture: Picture) {
        self.request.pictures.push(picture);
        self.n_waiting += 1;
    }

    /// One turn: a message with the pictures that wait, and the answer that `ask` gets to all messages so far. If it gets
    /// none, the message is taken back and its pictures wait on.
    ///
    /// # Errors
    /// Those of `ask`.
    pub fn turn<T, E>(&mut self, text: &str, ask: impl FnOnce(&Request) -> Result<(T, String), E>) -> Result<T, E> {
        self.request.messages.push(Message::user_with_pictures(self.n_waiting, text));
        match ask(&self.request) {
            Ok((outcome, answer)) => {
                self.request.messages.push(Message::assistant(answer));
                self.n_waiting = 0;
                Ok(outcome)
            }
            Err(error) => {
                self.request.messages.pop();
                Err(error)
            }
        }
    }

    /// Forgets messages and pictures, those that wait too, but not the standing instructions.
    pub fn reset(&mut self) {
        self.request.messages.truncate(self.n_first);
        self.request.pictures.clear();
        self.n_waiting = 0;
    }

    /// Whether there is something to forget.
    pub fn has_begun(&self) -> bool {
        self.request.messages.len() > self.n_first
    }

    /// Pictures that go with the next message.
    pub fn n_waiting(&self) -> usize {
        self.n_waiting
    }

    /// What was asked last; empty before the first question.
    pub fn question(&self) -> String {
        let asked = self.request.messages.iter().rfind(|message| message.role == Role::User);
        let texts = asked.iter().flat_map(|message| &message.parts);
        texts.filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect()
    }

    pub fn pictures(&self) -> &[Picture] {
        &self.request.pictures
    }

    /// What every turn has in common.
    pub fn settings(&self) -> &Request {
        &self.request
    }

    /// How many visual tokens the target reads from the next turn on.
    pub fn retain(&mut self, retain: Retain) {
        self.request.retain = Some(retain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture::from_rgb(1, 1, vec![0; 3]).unwrap()
    }

    fn conversation(system: Option<&str>) -> Conversation {
        Conversation::new(Request::new(Vec::new(), Vec::new()), system)
    }

    /// Role and pictures of each message of the request, and all of its pictures.
    type Seen = (Vec<(Role, usize)>, usize);

    fn seen(request: &Request) -> Seen {
        let of = |message: &Message| (message.role, message.n_pictures());
        (request.messages.iter().map(of).collect(), request.pictures.len())
    }

    fn ask(conversation: &mut Conversation) -> Seen {
        conversation.turn("?", |request| Ok::<_, ()>((seen(request), "!".to_owned()))).unwrap()
    }

    fn fail(conversation: &mut Conversation) -> Seen {
        conversation.turn("?", |request| Err::<((), String), _>(seen(request))).unwrap_err()
    }

    const QUESTION: (Role, usize) = (Role::User, 0);
    const ANSWER: (Role, usize) = (Role::Assistant, 0);

    #[test]
    fn turns_add_up() {
        let mut conversation = conversation(Some("Be brief."));
        assert!(!conversation.has_begun());
        assert_eq!(ask(&mut conversation), (vec![(Role::System, 0), QUESTION], 0));
        conversation.add(picture());
        conversation.add(picture());
        assert_eq!(conversation.n_waiting(), 2);
        let seen = ask(&mut conversation);
        assert_eq!(seen, (vec![(Role::System, 0), QUESTION, ANSWER, (Role::User, 2)], 2));
        assert_eq!(conversation.n_waiting(), 0);
        assert_eq!(ask(&mut conversation).0[3..], [(Role::User, 2), ANSWER, QUESTION]);
        assert_eq!(conversation.settings().messages.last(), Some(&Message::assistant("!")));
    }

    #[test]
    fn a_turn_that_fails_leaves_no_trace() {
        let mut conversation = conversation(None);
        ask(&mut conversation);
        conversation.add(picture());
        let before = conversation.settings().messages.clone();
        let expected = (vec![QUESTION, ANSWER, (Role::User, 1)], 1);
        assert_eq!(fail(&mut conversation), expected);
        assert_eq!((&conversation.settings().messages, conversation.n_waiting()), (&before, 1));
        assert_eq!(fail(&mut conversation), expected);
        assert_eq!(ask(&mut conversation), expected);
    }

    #[test]
    fn a_reset_leaves_the_instructions_and_the_settings() {
        let mut conversation = conversation(Some("Be brief."));
        conversation.retain(Retain::Count(3));
        conversation.add(picture());
        ask(&mut conversation);
        conversation.add(picture());
        conversation.reset();
        assert_eq!((conversation.n_waiting(), conversation.has_begun()), (0, false));
        assert_eq!(ask(&mut conversation), (vec![(Role::System, 0), QUESTION], 0));
        assert_eq!(conversation.settings().retain, Some(Retain::Count(3)));
    }
}
