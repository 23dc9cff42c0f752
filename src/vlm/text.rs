//! Answers as text: tokens are bytes, and a character may be cut across tokens.

/// Collects bytes and hands out whole characters.
#[derive(Default)]
pub(super) struct TextStream {
    pub text: String,
    pending: Vec<u8>,
}

impl TextStream {
    /// Adds bytes and returns the text that became complete.
    pub fn push(&mut self, bytes: &[u8]) -> &str {
        self.pending.extend_from_slice(bytes);
        let from = self.text.len();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(valid) => {
                    self.text.push_str(valid);
                    self.pending.clear();
                    break;
                }
                Err(error) => {
                    let (valid, rest) = self.pending.split_at(error.valid_up_to());
                    self.text.push_str(&String::from_utf8_lossy(valid));
                    let Some(n_bad) = error.error_len() else {
                        self.pending = rest.to_vec(); // the start of a character
                        break;
                    };
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    self.pending = rest[n_bad..].to_vec();
                }
            }
        }
        &self.text[from..]
    }

    /// Whether a character has begun that is not complete.
    pub fn is_within_character(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Ends the stream: a character that never became complete is replaced.
    pub fn finish(&mut self) -> &str {
        let from = self.text.len();
        if !self.pending.is_empty() {
            self.text.push(char::REPLACEMENT_CHARACTER);
            self.pending.clear();
        }
        &self.text[from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_cut_across_tokens_come_out_whole() {
        let mut stream = TextStream::default();
        let bytes = "aé€😀z".as_bytes();
        let mut pieces = String::new();
        for byte in bytes {
            pieces.push_str(stream.push(&[*byte]));
        }
        pieces.push_str(stream.finish());
        assert_eq!(pieces, "aé€😀z");
        assert_eq!(stream.text, pieces);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut stream = TextStream::default();
        assert_eq!(stream.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(stream.push(b"c"), "\u{fffd}c");
        stream.push(b"\xf0");
        assert_eq!(stream.finish(), "\u{fffd}");
    }
}
