//! Stop strings: an answer ends before the first that is complete, and none of it is ever handed out.

/// A growing text that is handed out as far as it cannot be the beginning of a stop string.
#[derive(Debug, Default)]
pub(super) struct UntilStop {
    /// All that was said, up to the stop string.
    text: String,
    /// How much of it was handed out, in bytes.
    n_out: usize,
    stops: Vec<String>,
    stopped: bool,
}

impl UntilStop {
    /// Empty stop strings are ignored.
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(), ..Self::default() }
    }

    /// Adds text, and returns what can be handed out of it and of what was held back.
    pub fn push(&mut self, text: &str) -> &str {
        if self.stopped {
            return "";
        }
        self.text.push_str(text);
        let rest = &self.text[self.n_out..];
        // The one that is complete first, however the text is cut into pieces.
        let found = self.stops.iter().filter_map(|stop| rest.find(stop).map(|at| (at + stop.len(), at))).min();
        let until = match found {
            Some((_, at)) => {
                self.stopped = true;
                self.text.truncate(self.n_out + at);
                self.text.len()
            }
            None => self.text.len() - self.n_doubtful(rest),
        };
        self.hand_out(until)
    }

    /// Hands out what was held back: nothing more comes.
    pub fn finish(&mut self) -> &str {
        self.hand_out(self.text.len())
    }

    /// Whether a stop string was found.
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// What was said, without the stop string; some of it may be held back.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes that were handed out.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Bytes at the end of `rest` that a stop string may begin with.
    fn n_doubtful(&self, rest: &str) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let tails = rest.char_indices().map(|(at, _)| &rest[at..]).filter(|tail| tail.len() < longest);
        let begins = |tail: &str| self.stops.iter().any(|stop| stop.starts_with(tail));
        tails.filter(|tail| begins(tail)).map(str::len).max().unwrap_or(0)
    }

    fn hand_out(&mut self, until: usize) -> &str {
        let from = std::mem::replace(&mut self.n_out, until);
        &self.text[from..until]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is handed out, piece by piece, and whether it stopped.
    fn said(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut held = UntilStop::new(&stops);
        let mut out: Vec<String> = pieces.iter().map(|piece| held.push(piece).to_owned()).collect();
        out.push(held.finish().to_owned());
        assert_eq!(out.concat(), held.text());
        (out, held.has_stopped())
    }

    #[test]
    fn a_stop_string_across_pieces_is_never_handed_out() {
        assert_eq!(said(&["</s>"], &["a <", "/s", "> b"]), (["a ", "", "", ""].map(str::to_owned).to_vec(), true));
        assert_eq!(
            said(&["</s>"], &["a <", "/t", "> b"]),
            (["a ", "</t", "> b", ""].map(str::to_owned).to_vec(), false)
        );
        assert_eq!(said(&["</s>"], &["a <"]), (["a ", "<"].map(str::to_owned).to_vec(), false));
    }

    #[test]
    fn the_first_of_several_counts_and_empty_ones_do_not() {
        assert_eq!(said(&["two", "one", ""], &["zero one two"]).0.concat(), "zero ");
        assert_eq!(said(&[""], &["zero"]), (["zero", ""].map(str::to_owned).to_vec(), false));
        assert_eq!(said(&["é"], &["caf", "é!"]).0.concat(), "caf");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            stops in proptest::collection::vec("[ab]{1,3}", 0..3),
            pieces in proptest::collection::vec("[abc]{0,3}", 0..12),
        ) {
            let all = pieces.concat();
            let ends = stops.iter().filter_map(|stop| all.find(stop.as_str()).map(|at| (at + stop.len(), at)));
            let expected = ends.min().map_or(all.as_str(), |(_, at)| &all[..at]);
            let mut held = UntilStop::new(&stops);
            let mut out: String = pieces.iter().map(|piece| held.push(piece).to_owned()).collect();
            out.push_str(held.finish());
            prop_assert_eq!(out, expected);
        }
    }
}
