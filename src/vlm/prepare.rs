//! What does not depend on pruning: template, tokens, and the vision encoder or what is kept of its output.

use super::cache::Key;
use super::{Prompt, Vlm, VlmError};
use crate::chat::{ChatTemplate, Message, PromptPart};
use crate::llama::{Chunk, Chunks, Embeddings, LlamaError, Vision};
use crate::media::Picture;
use crate::timing::ms_since;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A prompt with its pictures encoded.
pub struct Prepared {
    /// Tokens and positions.
    pub prompt: Prompt,
    /// One for each image chunk, in prompt order.
    embeddings: Vec<Arc<Embeddings>>,
    /// Width of the text model's first layer.
    n_embd: usize,
    /// Image chunks (pictures or tiles) that the vision encoder read now.
    pub n_encoded: usize,
    /// Image chunks whose encoder output was still there.
    pub n_reused: usize,
    /// Time of the vision encoder; `None` without pictures.
    pub encode_ms: Option<f64>,
}

impl Prepared {
    /// Embedding row `index` of the prompt, `[n_embd_inp]`: of visual tokens and structural rows, in prompt order.
    pub fn row(&self, mut index: usize) -> Option<&[f32]> {
        for chunk in &self.embeddings {
            match index.checked_sub(chunk.len()) {
                Some(rest) => index = rest,
                None => return chunk.row(index),
            }
        }
        None
    }

    /// Rows of the visual tokens alone, `[n_visual][n_embd]`: what the text model's first layer reads. Where later layers
    /// read more of the picture (DeepStack), that is left out: it is of other scales and about the same spot.
    pub fn visual_rows(&self) -> Vec<&[f32]> {
        let rows = self.embeddings.iter().flat_map(|chunk| (0..chunk.len()).map(|row| chunk.row(row).unwrap_or(&[])));
        let visual = self.prompt.rows.iter().zip(rows).filter(|(row, _)| row.visual.is_some());
        visual.map(|(_, values)| values.get(..self.n_embd).unwrap_or(values)).collect()
    }
}

impl Vlm {
    /// Renders the messages with the model's chat template, tokenizes, and encodes the pictures, those apart whose encoder
    /// outputs are still there. `progress` gets (done, all) picture chunks.
    ///
    /// Of a conversation, only the last turn asks: what was asked before has no part in the importance.
    ///
    /// # Errors
    /// [`VlmError::Chat`] when the template refuses the messages, [`VlmError::Llama`] when the encoder fails.
    pub fn prepare(
        &mut self,
        messages: &[Message],
        pictures: &[Picture],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Prepared, VlmError> {
        let (parts, chunks) = cut(&self.template, &self.vision, messages, pictures)?;
        let chunks = chunks.iter()?;
        let mut prompt = Prompt::new(&chunks, pictures);
        if let Some((n_tail, n_earlier)) = self.earlier_turns(messages, &parts) {
            prompt.skip_earlier_turns(n_tail, n_earlier);
        }

        let images: Vec<_> = chunks
            .iter()
            .filter_map(|chunk| if let Chunk::Image(image) = chunk { Some(image) } else { None })
            .collect();
        let start = Instant::now();
        // Without memory nobody asks what a picture shows.
        let remembered = if self.options.encoder_cache_bytes > 0 { pictures } else { &[] };
        let ids: Vec<_> = remembered.iter().map(Picture::content_id).collect();
        let mut n_chunks = vec![0; pictures.len()];
        let mut embeddings = Vec::with_capacity(images.len());
        let mut n_reused = 0;
        for (done, image) in images.iter().enumerate() {
            if self.options.context.cancel.load(Ordering::Relaxed) {
                return Err(LlamaError::Cancelled.into());
            }
            progress(done, images.len());
            let picture = image.picture();
            let (chunk, n_rows) = (n_chunks[picture], image.n_tokens());
            let key = ids.get(picture).map(|&picture| Key { picture, chunk, n_rows });
            n_chunks[picture] += 1;
            embeddings.push(match key.and_then(|key| self.cache.get(&key)) {
                Some(encoded) => {
                    n_reused += 1;
                    encoded
                }
                None => {
                    let encoded = Arc::new(self.vision.encode(image)?);
                    if let Some(key) = key {
                        self.cache.insert(key, encoded.clone());
                    }
                    encoded
                }
            });
        }
        progress(images.len(), images.len());
        let encode_ms = (!images.is_empty()).then(|| ms_since(start));
        let (n_embd, n_encoded) = (self.model().n_embd(), embeddings.len() - n_reused);
        Ok(Prepared { prompt, embeddings, n_embd, n_encoded, n_reused, encode_ms })
    }

    /// Number of visual tokens of a prompt, V, without encoding its pictures.
    ///
    /// # Errors
    /// [`VlmError::Chat`] when the template refuses the messages, [`VlmError::Llama`] when the pictures are refused.
    pub fn count_visual(&self, messages: &[Message], pictures: &[Picture]) -> Result<usize, VlmError> {
        let (_, chunks) = cut(&self.template, &self.vision, messages, pictures)?;
        Ok(Prompt::new(&chunks.iter()?, pictures).n_visual())
    }

    /// Bytes of encoder outputs that are kept.
    pub fn encoder_cache_bytes(&self) -> usize {
        self.cache.n_bytes()
    }

    /// Forgets all encoder outputs.
    pub fn clear_encoder_cache(&mut self) {
        self.cache.clear();
    }

    /// Tokens after the last picture, and how many of them belong to the turns before the last one; `None` if the last
    /// turn is the first, has the last picture, or cannot be told apart.
    fn earlier_turns(&self, messages: &[Message], parts: &[PromptPart]) -> Option<(usize, usize)> {
        let (_, earlier) = messages.split_last()?;
        if !earlier.iter().any(|message| message.n_pictures() > 0) {
            return None;
        }
        let earlier = self.template.render(earlier, false).ok()?;
        let n_pictures = |parts: &[PromptPart]| parts.iter().filter(|part| **part == PromptPart::Picture).count();
        let (tail, earlier_tail) = (text_after_pictures(parts), text_after_pictures(&earlier));
        if n_pictures(&earlier) != n_pictures(parts) || !tail.starts_with(&earlier_tail) {
            return None;
        }
        let (tail, earlier_tail) = (self.model().tokenize_prompt(&tail), self.model().tokenize_prompt(&earlier_tail));
        let n_common = tail.iter().zip(&earlier_tail).take_while(|(a, b)| a == b).count();
        Some((tail.len(), n_common))
    }
}

/// The rendered messages, and what they and the preprocessed pictures are cut into.
fn cut<'a>(
    template: &ChatTemplate,
    vision: &'a Vision,
    messages: &[Message],
    pictures: &[Picture],
) -> Result<(Vec<PromptPart>, Chunks<'a>), VlmError> {
    let parts = template.render(messages, true)?;
    let add_special = !template.starts_with_bos(&parts);
    let chunks = vision.tokenize(&parts, pictures, add_special)?;
    Ok((parts, chunks))
}

fn text_after_pictures(parts: &[PromptPart]) -> String {
    let last = parts.iter().rposition(|part| *part == PromptPart::Picture).map_or(0, |last| last + 1);
    let text = |part: &PromptPart| if let PromptPart::Text(text) = part { text.clone() } else { String::new() };
    parts[last..].iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::super::prompt::Row;
    use super::*;
    use crate::llama::Position;

    #[test]
    fn visual_rows_are_those_of_visual_tokens_in_the_first_layer() {
        let row = |(t, visual)| Row { position: Position::sequential(t), visual };
        let rows = [(0, Some(0)), (1, None), (2, Some(1)), (3, None), (4, Some(2))].map(row).to_vec();
        // Rows of two values that the first layer reads, and two that another does; two chunks.
        let chunk =
            |rows: &[f32]| Embeddings::new(rows.iter().flat_map(|&row| [row, row + 0.5, -1.0, -2.0]).collect(), 4);
        let embeddings = [chunk(&[0.0, 1.0, 2.0]), chunk(&[3.0, 4.0])].map(Arc::new).to_vec();
        let prompt = Prompt::of(Vec::new(), rows, 5);
        let prepared = Prepared { prompt, embeddings, n_embd: 2, n_encoded: 2, n_reused: 0, encode_ms: None };
        assert_eq!(prepared.visual_rows(), [[0.0, 0.5], [2.0, 2.5], [4.0, 4.5]]);
    }
}
