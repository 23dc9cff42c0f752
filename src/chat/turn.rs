//! Messages on their way into a template.

use super::marker::Marker;
use super::{Message, Part, Role};

/// A message on its way into the template, pictures already markers.
pub(super) struct Turn {
    pub(super) index: usize,
    pub(super) role: Role,
    pub(super) text: String,
}

/// The turns of `messages`, pictures counted through all of them.
pub(super) fn marked(messages: &[Message], marker: Marker) -> Vec<Turn> {
    let mut n_pictures = 0;
    let turn = |(index, message): (usize, &Message)| {
        let mut text = String::new();
        for part in &message.parts {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Picture => {
                    text.push_str(&marker.mark(n_pictures));
                    n_pictures += 1;
                }
            }
        }
        Turn { index, role: message.role, text }
    };
    messages.iter().enumerate().map(turn).collect()
}

/// Puts every system text before the next user text; what no user message follows becomes a user message.
pub(super) fn folded(turns: Vec<Turn>) -> Vec<Turn> {
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
    folded.extend(pending.map(|turn| Turn { role: Role::User, ..turn }));
    folded
}
