//! Where a reader works: on the thread of its only user, or on a thread of its own for many.

use super::{Ended, Note, Reader, Turn, TurnId};
use crate::llama::{LlamaError, Memory};
use crate::vlm::VlmError;
use crate::vlm::processor::Processor;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// A reader, as its users see it.
pub(in crate::vlm) enum Desk {
    Own(Box<Reader>),
    Shared(Handle),
}

/// One of several users of a reader. The reader's thread ends with the last of them.
#[derive(Clone)]
pub(in crate::vlm) struct Handle {
    to_reader: Sender<Message>,
    memory: Arc<Mutex<Memory>>,
}

enum Message {
    Take(Box<Turn>, Sender<Reply>),
    Forget,
}

enum Reply {
    Note(Note),
    Ended(Result<Box<Turn>, VlmError>),
}

impl Desk {
    /// Takes a turn from its beginning to its end.
    ///
    /// # Errors
    /// Those of the turn.
    pub fn take(&mut self, turn: Turn, on_note: &mut dyn FnMut(Note)) -> Result<Turn, VlmError> {
        match self {
            Self::Own(reader) => {
                reader.submit(turn);
                loop {
                    let ended = reader.step();
                    reader.notes(|_, note| on_note(note));
                    if let Some(Ended { notes, result, .. }) = ended.into_iter().next() {
                        notes.into_iter().for_each(on_note);
                        return result;
                    }
                }
            }
            Self::Shared(handle) => handle.take(turn, on_note),
        }
    }

    /// As [`Reader::memory`].
    pub fn memory(&self) -> Memory {
        match self {
            Self::Own(reader) => reader.memory(),
            Self::Shared(handle) => *handle.memory.lock(),
        }
    }

    /// As [`Reader::forget`].
    pub fn forget(&mut self) {
        match self {
            Self::Own(reader) => reader.forget(),
            Self::Shared(handle) => drop(handle.to_reader.send(Message::Forget)),
        }
    }

    /// Gives the reader a thread, where it takes `n` turns at once, those of `n` desks or more.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn share(self, n: usize, processor: Option<Processor>) -> io::Result<Self> {
        let mut reader = match self {
            Self::Own(reader) => reader,
            Self::Shared(_) => return Ok(self),
        };
        reader.set_parallel(n);
        reader.set_processor(processor);
        let (to_reader, messages) = mpsc::channel();
        let memory = Arc::new(Mutex::new(reader.memory()));
        let handle = Handle { to_reader, memory: memory.clone() };
        thread::Builder::new().spawn(move || work(*reader, &messages, &memory))?;
        Ok(Self::Shared(handle))
    }

    /// Another user of a shared reader; `None` where it is not shared.
    pub fn another(&self) -> Option<Self> {
        if let Self::Shared(handle) = self { Some(Self::Shared(handle.clone())) } else { None }
    }
}

impl Handle {
    fn take(&self, turn: Turn, on_note: &mut dyn FnMut(Note)) -> Result<Turn, VlmError> {
        let (to_user, replies) = mpsc::channel();
        // A reader that is gone neither takes the message nor replies.
        let _ = self.to_reader.send(Message::Take(Box::new(turn), to_user));
        for reply in replies {
            match reply {
                Reply::Note(note) => on_note(note),
                Reply::Ended(result) => return result.map(|turn| *turn),
            }
        }
        Err(LlamaError::Compute { reason: "the model's thread has ended".to_owned() }.into())
    }
}

/// Steps a reader as long as there is anything to read, and anybody to read for.
fn work(mut reader: Reader, messages: &Receiver<Message>, memory: &Mutex<Memory>) {
    let mut users: HashMap<TurnId, Sender<Reply>> = HashMap::new();
    loop {
        let next = || if reader.is_idle() { messages.recv().ok() } else { messages.try_recv().ok() };
        match next() {
            Some(Message::Take(turn, user)) => {
                users.insert(reader.submit(*turn), user);
                continue; // whoever else has come may join
            }
            Some(Message::Forget) => {
                reader.forget();
                continue;
            }
            None if reader.is_idle() => return,
            None => {}
        }
        let step = catch_unwind(AssertUnwindSafe(|| reader.step()));
        let ended = step.unwrap_or_else(|_| reader.start_over());
        *memory.lock() = reader.memory();
        let mut gone = Vec::new();
        reader.notes(|id, note| {
            if users.get(&id).is_none_or(|user| user.send(Reply::Note(note)).is_err()) {
                gone.push(id);
            }
        });
        gone.into_iter().for_each(|id| reader.give_up(id));
        for Ended { id, notes, result } in ended {
            let Some(user) = users.remove(&id) else { continue };
            notes.into_iter().for_each(|note| drop(user.send(Reply::Note(note))));
            let _ = user.send(Reply::Ended(result.map(Box::new)));
        }
    }
}
