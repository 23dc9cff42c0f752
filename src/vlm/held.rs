//! What the KV cache holds, so that a prompt that begins as the last one did is not read twice.

use super::cache::Key;
use super::plan::Group;
use super::prepare::Images;
use crate::llama::{Context, Position, Token};

/// One entry of a prompt, comparable over prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Token(Token),
    /// A row of what the encoder makes of an image chunk.
    Row(Key, usize),
    /// A row of a picture whose content nobody remembers: equal to nothing.
    Unknown,
}

/// Entries of one sequence in the order in which they were read.
#[derive(Debug)]
pub(super) struct Held {
    pub sequence: i32,
    entries: Vec<(Item, Position)>,
}

impl Held {
    pub fn new(sequence: i32) -> Self {
        Self { sequence, entries: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn push(&mut self, item: Item, position: Position) {
        self.entries.push((item, position));
    }

    /// Forgets everything, with the cells themselves.
    pub fn clear(&mut self, context: &mut Context) {
        self.entries.clear();
        context.forget(self.sequence);
    }

    /// Drops what stands behind the first `n` entries from the cache; all of it where the cache cannot be cut, or has lost what an
    /// entry at position `next` would see. Returns how many entries are left.
    pub fn cut(&mut self, context: &mut Context, n: usize, next: i32) -> usize {
        if n < self.entries.len() {
            let from = self.entries[n].1.t;
            let can_go_on = n > 0 && self.has_window(context, n, next);
            if can_go_on && context.truncate(self.sequence, from) {
                self.entries.truncate(n);
            } else {
                self.clear(context);
            }
        }
        self.entries.len()
    }

    /// Whether layers with a sliding window still have what entries at the place of number `n`, or at `next`, would see.
    fn has_window(&self, context: &Context, n: usize, next: i32) -> bool {
        let (Some((_, end)), window) = (self.entries.get(n), context.window()) else { return true };
        let seen = |(_, position): &&(Item, Position)| position.t > end.t.min(next) - window;
        // Positions may have gaps: what counts is the first entry that would be seen, not the edge of the window.
        let first_seen = self.entries[..n].iter().find(seen);
        window == 0 || first_seen.is_none_or(|(_, position)| position.t >= context.first_position(self.sequence))
    }

    /// Begins with the first `n` entries of another sequence, without a copy. Returns how many entries it begins with: none
    /// where layers have a sliding window, since llama.cpp never gives up a cell that two sequences have, and their caches
    /// have no cells to spare.
    pub fn share(&mut self, context: &mut Context, other: &Self, n: usize) -> usize {
        let n = n.min(other.len());
        let behind = other.entries.last().map_or(0, |(_, position)| position.t + 1);
        let until = other.entries.get(n).map_or(behind, |(_, position)| position.t);
        if n > 0 && context.window() == 0 {
            context.share(other.sequence, self.sequence, until);
            self.entries.extend_from_slice(&other.entries[..n]);
        }
        self.entries.len()
    }

    /// How many leading entries of a plan are held and need not be read again: none whose logits are wanted, nor, if the
    /// attention is `observed`, any that asks.
    pub fn in_common(&self, images: &Images, groups: &[Group], observed: bool) -> usize {
        let mut n = 0;
        'groups: for group in groups {
            let first = n;
            for entry in &group.entries {
                let again = entry.output || (observed && entry.query);
                let same = self.entries.get(n).is_some_and(|&(item, position)| {
                    item != Item::Unknown && position == entry.position && item == images.item(entry.input)
                });
                if again || !same {
                    if group.non_causal {
                        n = first; // read in one piece or not at all
                    }
                    break 'groups;
                }
                n += 1;
            }
            // What was read in one piece has seen all of it, also rows that this plan leaves out.
            let row_of = |item| if let Item::Row(key, _) = item { Some(key) } else { None };
            let chunk = group.entries.last().and_then(|entry| row_of(images.item(entry.input)));
            let next = self.entries.get(n).and_then(|&(item, _)| row_of(item));
            if group.non_causal && next.is_some() && next == chunk {
                n = first;
                break;
            }
        }
        // The cache is cut by position, and tokens of one picture may share theirs (M-RoPE).
        let t = |n: usize| self.entries.get(n).map(|(_, position)| position.t);
        while n > 0 && t(n).is_some() && t(n - 1) >= t(n) {
            n -= 1;
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Entry, Input};
    use super::*;

    fn entry(token: Token, t: i32) -> Entry {
        Entry { input: Input::Token(token), position: Position::sequential(t), query: false, output: false }
    }

    fn group(entries: &[(Token, i32)], non_causal: bool) -> Group {
        Group { entries: entries.iter().map(|&(token, t)| entry(token, t)).collect(), non_causal }
    }

    fn held(entries: &[(Token, i32)]) -> Held {
        let mut held = Held::new(0);
        entries.iter().for_each(|&(token, t)| held.push(Item::Token(token), Position::sequential(t)));
        held
    }

    fn images() -> Images {
        Images::default()
    }

    #[test]
    fn the_common_beginning_is_found_across_groups() {
        let held = held(&[(1, 0), (2, 1), (3, 2), (4, 3)]);
        let groups = [group(&[(1, 0), (2, 1)], false), group(&[(3, 2), (9, 3)], false)];
        assert_eq!(held.in_common(&images(), &groups, false), 3);
        let moved = [group(&[(1, 0), (2, 2)], false)];
        assert_eq!(held.in_common(&images(), &moved, false), 1, "the same token at another position is another");
    }

    #[test]
    fn what_asks_or_answers_is_read_again() {
        let held = held(&[(1, 0), (2, 1), (3, 2)]);
        let mut asking = group(&[(1, 0), (2, 1), (3, 2)], false);
        asking.entries[1].query = true;
        asking.entries[2].output = true;
        let groups = [asking];
        assert_eq!(held.in_common(&images(), &groups, false), 2);
        assert_eq!(held.in_common(&images(), &groups, true), 1);
    }

    #[test]
    fn pictures_that_are_read_at_once_are_not_cut() {
        let held = held(&[(1, 0), (2, 1), (3, 2)]);
        let groups = [group(&[(1, 0)], false), group(&[(2, 1), (9, 2)], true)];
        assert_eq!(held.in_common(&images(), &groups, false), 1);
    }

    #[test]
    fn rows_of_a_picture_that_saw_more_of_it_are_read_again() {
        let picture = crate::media::Picture::from_rgb(1, 1, vec![0; 3]).unwrap().content_id();
        let key = Key { picture, chunk: 0, n_rows: 3 };
        let images = Images::of_one(key, 3);
        let mut held = held(&[(1, 0)]);
        (0..3).for_each(|row| held.push(Item::Row(key, row), Position::sequential(1 + row as i32)));
        let rows = |n: usize, non_causal| {
            let row = |row: usize| Entry { input: Input::Row(row), ..entry(0, 1 + row as i32) };
            Group { entries: (0..n).map(row).collect(), non_causal }
        };
        let in_common = |n, non_causal| {
            held.in_common(&images, &[group(&[(1, 0)], false), rows(n, non_causal), group(&[(9, 4)], false)], false)
        };
        // With the mask a row has seen those before it only.
        assert_eq!(in_common(2, false), 3);
        assert_eq!(in_common(2, true), 1);
        assert_eq!(in_common(3, true), 4);
    }

    #[test]
    fn entries_of_one_position_stay_together() {
        // Tokens of an M-RoPE picture share t.
        let held = held(&[(1, 0), (2, 1), (3, 1), (4, 1)]);
        let groups = [group(&[(1, 0), (2, 1), (3, 1), (9, 1)], false)];
        assert_eq!(held.in_common(&images(), &groups, false), 1);
    }

    #[test]
    fn pictures_that_nobody_remembers_are_new() {
        let mut held = held(&[(1, 0)]);
        held.push(Item::Unknown, Position::sequential(1));
        let row = Entry { input: Input::Row(0), ..entry(0, 1) };
        let groups = [Group { entries: vec![entry(1, 0), row], non_causal: false }];
        assert_eq!(held.in_common(&images(), &groups, false), 1);
    }
}
