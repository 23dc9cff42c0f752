//! What goes through the model, in which order and at which position: the place where visual tokens are dropped.

use super::prompt::{Piece, Prompt};
use crate::llama::{Position, Token};

/// One batch entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub input: Input,
    pub position: Position,
    /// Counts for the importance.
    pub query: bool,
    /// Its logits are wanted.
    pub output: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Input {
    Token(Token),
    /// Row of the prepared embeddings.
    Visual(usize),
}

/// Entries that are computed together, split only by the batch size. One per prompt piece, as libmtmd does it, so that
/// results agree with it bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub entries: Vec<Entry>,
    pub non_causal: bool,
}

/// The prompt with only the `kept` visual tokens (sorted indices), every token at its original position, followed by
/// `tail`. The last prompt token and the whole tail have outputs; the prompt tokens after the last visual token are
/// queries (method: T), and so is the tail.
pub(super) fn plan(prompt: &Prompt, kept: &[usize], tail: &[Token]) -> Vec<Group> {
    let question_start = prompt.question_start();
    let mut groups: Vec<Group> = Vec::new();
    for (index, piece) in prompt.pieces.iter().enumerate() {
        let group = match piece {
            Piece::Text { tokens, start } => {
                let query = index >= question_start;
                Group { entries: texts(tokens, *start, query).collect(), non_causal: false }
            }
            Piece::Image { visual, non_causal } => {
                let from = kept.partition_point(|&kept| kept < visual.start);
                let to = kept.partition_point(|&kept| kept < visual.end);
                let row = |&row: &usize| Entry {
                    input: Input::Visual(row),
                    position: prompt.visual[row],
                    query: false,
                    output: false,
                };
                Group { entries: kept[from..to].iter().map(row).collect(), non_causal: *non_causal }
            }
        };
        if !group.entries.is_empty() {
            groups.push(group);
        }
    }
    if let Some(last) = groups.last_mut().and_then(|group| group.entries.last_mut()) {
        last.output = true;
    }
    let tail = texts(tail, prompt.end, true).map(|entry| Entry { output: true, ..entry });
    match groups.last_mut() {
        Some(Group { entries, non_causal: false }) => entries.extend(tail),
        _ => groups.push(Group { entries: tail.collect(), non_causal: false }),
    }
    groups.retain(|group| !group.entries.is_empty());
    groups
}

fn texts(tokens: &[Token], start: i32, query: bool) -> impl Iterator<Item = Entry> {
    tokens.iter().zip(start..).map(move |(&token, t)| Entry {
        input: Input::Token(token),
        position: Position::sequential(t),
        query,
        output: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a b [4 visual tokens] c d [2 visual tokens] e f`
    fn prompt() -> Prompt {
        let mut prompt = Prompt::default();
        prompt.pieces = vec![
            Piece::Text { tokens: vec![1, 2], start: 0 },
            Piece::Image { visual: 0..4, non_causal: true },
            Piece::Text { tokens: vec![3, 4], start: 6 },
            Piece::Image { visual: 4..6, non_causal: false },
            Piece::Text { tokens: vec![5, 6], start: 10 },
        ];
        prompt.visual = [2, 3, 4, 5, 8, 9].map(Position::sequential).to_vec();
        prompt.end = 12;
        prompt
    }

    fn flat(groups: &[Group]) -> Vec<Entry> {
        groups.iter().flat_map(|group| group.entries.iter().copied()).collect()
    }

    #[test]
    fn keeping_everything_leaves_the_prompt_as_it_is() {
        let entries = flat(&plan(&prompt(), &[0, 1, 2, 3, 4, 5], &[]));
        assert_eq!(entries.iter().map(|entry| entry.position.t).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
        assert_eq!(entries.iter().map(|entry| entry.output).filter(|&output| output).count(), 1);
        assert!(entries[11].output);
    }

    #[test]
    fn dropping_removes_only_visual_tokens_and_moves_nothing() {
        let groups = plan(&prompt(), &[1, 4], &[]);
        let entries = flat(&groups);
        let positions: Vec<i32> = entries.iter().map(|entry| entry.position.t).collect();
        assert_eq!(positions, [0, 1, 3, 6, 7, 8, 10, 11]);
        assert_eq!(entries[2].input, Input::Visual(1));
        assert_eq!(entries[5].input, Input::Visual(4));
        assert_eq!(groups.iter().map(|group| group.non_causal).collect::<Vec<_>>(), [false, true, false, false, false]);
    }

    #[test]
    fn only_the_text_after_the_last_picture_asks() {
        let queries: Vec<i32> = flat(&plan(&prompt(), &[0, 5], &[7, 8]))
            .iter()
            .filter(|entry| entry.query)
            .map(|entry| entry.position.t)
            .collect();
        assert_eq!(queries, [10, 11, 12, 13]);
    }

    #[test]
    fn an_answer_to_score_has_one_output_per_token_plus_one() {
        let entries = flat(&plan(&prompt(), &[], &[7, 8]));
        let outputs: Vec<Input> = entries.iter().filter(|entry| entry.output).map(|entry| entry.input).collect();
        assert_eq!(outputs, [Input::Token(6), Input::Token(7), Input::Token(8)]);
    }

    #[test]
    fn a_text_prompt_has_no_queries() {
        let mut prompt = Prompt::default();
        prompt.pieces = vec![Piece::Text { tokens: vec![1], start: 0 }];
        prompt.end = 1;
        assert!(flat(&plan(&prompt, &[], &[])).iter().all(|entry| !entry.query));
    }
}
