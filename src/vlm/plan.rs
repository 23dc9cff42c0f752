//! What goes through the model, in which order and at which position: the place where visual tokens are dropped.

use super::prompt::{Piece, Prompt, Question};
use crate::guidance::Kept;
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

impl Entry {
    fn is_token(&self) -> bool {
        matches!(self.input, Input::Token(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Input {
    Token(Token),
    /// Row of the prepared embeddings.
    Row(usize),
}

/// Entries that are computed together, split only by the batch size. Of an unpruned prompt there is one per piece, as libmtmd
/// does it, so that results agree with it bit for bit; what is left of a pruned one is joined, since few tokens in each of
/// many batches cost nearly as much as many.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub entries: Vec<Entry>,
    pub non_causal: bool,
}

/// The prompt with only the `kept` visual tokens, every token at its original position, followed by `tail`. The last
/// prompt token and the whole tail have outputs; the question's tokens are queries (method: T), and so is the tail.
/// Structural rows stay. Tokens and rows are `mixed` only where the model takes both in one batch.
pub(super) fn plan(prompt: &Prompt, kept: &Kept, tail: &[Token], mixed: bool) -> Vec<Group> {
    let mut is_kept = vec![false; prompt.n_visual()];
    for &index in kept.indices() {
        if let Some(is_kept) = is_kept.get_mut(index) {
            *is_kept = true;
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for (index, piece) in prompt.pieces.iter().enumerate() {
        let group = match piece {
            Piece::Text { tokens, start } => {
                let asks = |token| Question { piece: index, token } >= prompt.question;
                let entries = texts(tokens, *start).enumerate();
                let entries = entries.map(|(token, entry)| Entry { query: asks(token), ..entry }).collect();
                Group { entries, non_causal: false }
            }
            Piece::Image { rows, non_causal } => {
                let stays = |row: &usize| prompt.rows[*row].visual.is_none_or(|visual| is_kept[visual]);
                let entry = |row: usize| Entry {
                    input: Input::Row(row),
                    position: prompt.rows[row].position,
                    query: false,
                    output: false,
                };
                Group { entries: rows.clone().filter(stays).map(entry).collect(), non_causal: *non_causal }
            }
        };
        match groups.last_mut() {
            _ if group.entries.is_empty() => {}
            Some(last) if mixed && !kept.is_all() && !last.non_causal && !group.non_causal => {
                last.entries.extend(group.entries)
            }
            _ => groups.push(group),
        }
    }
    if let Some(last) = groups.last_mut().and_then(|group| group.entries.last_mut()) {
        last.output = true;
    }
    follow(&mut groups, prompt.end, tail);
    groups
}

/// Adds tokens behind a plan that ends before position `end`; all of them are queries and have outputs.
pub(super) fn follow(groups: &mut Vec<Group>, end: i32, tail: &[Token]) {
    let tail = texts(tail, end).map(|entry| Entry { query: true, output: true, ..entry });
    match groups.last_mut() {
        Some(Group { entries, .. }) if entries.last().is_some_and(Entry::is_token) => entries.extend(tail),
        _ => groups.push(Group { entries: tail.collect(), non_causal: false }),
    }
    groups.retain(|group| !group.entries.is_empty());
}

/// Number of batch entries of a plan.
pub(super) fn n_entries(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.entries.len()).sum()
}

fn texts(tokens: &[Token], start: i32) -> impl Iterator<Item = Entry> {
    tokens.iter().zip(start..).map(|(&token, t)| Entry {
        input: Input::Token(token),
        position: Position::sequential(t),
        query: false,
        output: false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::prompt::Row;
    use super::*;

    /// `a b [4 visual tokens] c d [visual token, row break, visual token] e f`
    fn prompt() -> Prompt {
        let row = |(t, visual)| Row { position: Position::sequential(t), visual };
        let rows = [(2, Some(0)), (3, Some(1)), (4, Some(2)), (5, Some(3)), (8, Some(4)), (9, None), (10, Some(5))];
        Prompt::of(
            vec![
                Piece::Text { tokens: vec![1, 2], start: 0 },
                Piece::Image { rows: 0..4, non_causal: true },
                Piece::Text { tokens: vec![3, 4], start: 6 },
                Piece::Image { rows: 4..7, non_causal: false },
                Piece::Text { tokens: vec![5, 6], start: 11 },
            ],
            rows.map(row).to_vec(),
            13,
        )
    }

    fn kept(indices: &[usize]) -> Kept {
        Kept::from_indices(6, indices.to_vec()).unwrap()
    }

    fn flat(groups: &[Group]) -> Vec<Entry> {
        groups.iter().flat_map(|group| group.entries.iter().copied()).collect()
    }

    #[test]
    fn some_models_take_no_rows_beside_tokens() {
        let groups = plan(&prompt(), &kept(&[1, 4]), &[7, 8], false);
        let kinds: Vec<Vec<bool>> = groups.iter().map(|g| g.entries.iter().map(Entry::is_token).collect()).collect();
        assert_eq!(kinds, [vec![true; 2], vec![false], vec![true; 2], vec![false; 2], vec![true; 4]]);
    }

    #[test]
    fn keeping_everything_leaves_the_prompt_as_it_is() {
        let entries = flat(&plan(&prompt(), &Kept::all(6), &[], true));
        assert_eq!(entries.iter().map(|entry| entry.position.t).collect::<Vec<_>>(), (0..13).collect::<Vec<_>>());
        assert_eq!(entries.iter().map(|entry| entry.output).filter(|&output| output).count(), 1);
        assert!(entries[12].output);
        assert_eq!(plan(&prompt(), &Kept::all(6), &[], true).len(), 5, "pieces are read one by one");
    }

    #[test]
    fn dropping_removes_only_visual_tokens_and_moves_nothing() {
        let groups = plan(&prompt(), &kept(&[1, 4]), &[], true);
        let entries = flat(&groups);
        let positions: Vec<i32> = entries.iter().map(|entry| entry.position.t).collect();
        assert_eq!(positions, [0, 1, 3, 6, 7, 8, 9, 11, 12]);
        assert_eq!(entries[2].input, Input::Row(1));
        assert_eq!(entries[5].input, Input::Row(4));
        assert_eq!(entries[6].input, Input::Row(5), "the row break stays");
        assert_eq!(groups.iter().map(|group| group.non_causal).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn only_the_text_after_the_last_picture_asks() {
        let queries: Vec<i32> = flat(&plan(&prompt(), &kept(&[0, 5]), &[7, 8], true))
            .iter()
            .filter(|entry| entry.query)
            .map(|entry| entry.position.t)
            .collect();
        assert_eq!(queries, [11, 12, 13, 14]);
    }

    #[test]
    fn an_answer_to_score_has_one_output_per_token_plus_one() {
        let entries = flat(&plan(&prompt(), &kept(&[]), &[7, 8], true));
        let outputs: Vec<Input> = entries.iter().filter(|entry| entry.output).map(|entry| entry.input).collect();
        assert_eq!(outputs, [Input::Token(6), Input::Token(7), Input::Token(8)]);
    }

    #[test]
    fn a_text_prompt_has_no_queries() {
        let prompt = Prompt::of(vec![Piece::Text { tokens: vec![1], start: 0 }], Vec::new(), 1);
        assert!(flat(&plan(&prompt, &Kept::all(0), &[], true)).iter().all(|entry| !entry.query));
    }

    #[test]
    fn earlier_turns_do_not_ask() {
        let mut prompt = prompt();
        prompt.skip_earlier_turns(2, 1);
        let queries =
            |prompt: &Prompt| flat(&plan(prompt, &Kept::all(6), &[], true)).iter().filter(|e| e.query).count();
        assert_eq!(queries(&prompt), 1);
        prompt.skip_earlier_turns(2, 9); // the last token always asks
        assert_eq!(queries(&prompt), 1);
        prompt.skip_earlier_turns(9, 1); // not these tokens
        assert_eq!(queries(&prompt), 1);
    }
}
