//! A bounded queue whose items can be taken back.

use std::collections::VecDeque;

/// First in, first out; items are known by growing numbers.
#[derive(Debug)]
pub(super) struct Queue<T> {
    items: VecDeque<(u64, T)>,
    max: usize,
    next: u64,
}

impl<T> Queue<T> {
    /// A queue of at most `max` items.
    pub fn new(max: usize) -> Self {
        Self { items: VecDeque::new(), max, next: 0 }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether `n_more` items beside the bound would be too many: those that are about to be taken do not count.
    pub fn is_full(&self, n_about_to_be_taken: usize) -> bool {
        self.items.len() >= self.max.saturating_add(n_about_to_be_taken)
    }

    /// Puts an item last and returns its number.
    pub fn push(&mut self, item: T) -> u64 {
        let id = self.next;
        self.next += 1;
        self.items.push_back((id, item));
        id
    }

    /// Takes the first item.
    pub fn take(&mut self) -> Option<(u64, T)> {
        self.items.pop_front()
    }

    /// Takes an item back, if it is still there.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let index = self.items.iter().position(|(other, _)| *other == id)?;
        self.items.remove(index).map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Take,
        Remove(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![Just(Step::Push), Just(Step::Take), (0..20u64).prop_map(Step::Remove)];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn what_is_pushed_comes_once_and_in_order(max in 0..6usize, steps in steps()) {
            let mut queue = Queue::new(max);
            let (mut pushed, mut gone) = (Vec::new(), Vec::new());
            let mut last = None;
            for step in steps {
                match step {
                    Step::Push if queue.is_full(0) => prop_assert_eq!(queue.len(), max),
                    Step::Push => pushed.push(queue.push(())),
                    Step::Take => if let Some((id, ())) = queue.take() {
                        prop_assert!(last < Some(id));
                        last = Some(id);
                        gone.push(id);
                    },
                    Step::Remove(id) => {
                        let waits = pushed.contains(&id) && !gone.contains(&id);
                        prop_assert_eq!(queue.remove(id).is_some(), waits);
                        if waits {
                            gone.push(id);
                        }
                    }
                }
                prop_assert!(queue.len() <= max);
                prop_assert_eq!(queue.len(), pushed.len() - gone.len());
            }
        }
    }
}
