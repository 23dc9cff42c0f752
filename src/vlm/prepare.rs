//! What does not depend on pruning: template, tokens, and the vision encoder or what is kept of its output.

use super::cache::Key;
use super::encoder::Origin;
use super::held::Item;
use super::plan::Input;
use super::{Prompt, Vlm, VlmError};
use crate::chat::{ChatTemplate, Message, PromptPart};
use crate::guidance::Kept;
use crate::llama::{Chunk, Chunks, Embeddings, LlamaError, Vision};
use crate::media::Picture;
use crate::timing::ms_since;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A prompt whose pictures are cut into chunks (pictures or tiles), which are encoded when they are needed.
pub struct Prepared {
    /// Tokens and positions.
    pub prompt: Prompt,
    /// Image chunks that the vision encoder has read for this prompt.
    pub n_encoded: usize,
    /// Image chunks whose encoder output was still there.
    pub n_reused: usize,
    /// Image chunks that the vision tower of another model had read, so that only the projector had to run.
    pub n_projected: usize,
    /// Time of the vision encoder; `None` as long as nothing was encoded.
    pub encode_ms: Option<f64>,
    chunks: Option<Chunks>,
    pub(super) images: Images,
    /// Width of the text model's first layer.
    n_embd: usize,
}

/// The image chunks of a prompt with what the encoder made of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Images(Vec<Image>);

/// One image chunk.
#[derive(Debug, Clone, Default)]
struct Image {
    /// `None` where nobody remembers pictures.
    key: Option<Key>,
    n_rows: usize,
    embeddings: Option<Arc<Embeddings>>,
}

impl Prepared {
    /// Image chunks of the prompt, encoded or not.
    pub fn n_images(&self) -> usize {
        self.images.0.len()
    }

    /// Embedding row `index` of the prompt, `[n_embd_inp]`: of visual tokens and structural rows, in prompt order. `None`
    /// beyond the last, or where the image chunk is not encoded.
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        self.images.row(index)
    }

    /// Rows of the visual tokens alone, `[n_visual][n_embd]`: what the text model's first layer reads, empty where nothing is
    /// encoded. Where later layers read more of the picture (DeepStack), that is left out: it is of other scales and about
    /// the same spot.
    pub fn visual_rows(&self) -> Vec<&[f32]> {
        let row = |index| self.row(index).unwrap_or(&[]);
        let visual = (0..).zip(&self.prompt.rows).filter(|(_, row)| row.visual.is_some());
        visual.map(|(index, _)| row(index)).map(|values| values.get(..self.n_embd).unwrap_or(values)).collect()
    }

    /// A prompt without pictures.
    #[cfg(test)]
    pub(super) fn text(prompt: Prompt) -> Self {
        Self {
            prompt,
            n_encoded: 0,
            n_reused: 0,
            n_projected: 0,
            encode_ms: None,
            chunks: None,
            images: Images::default(),
            n_embd: 0,
        }
    }
}

impl Images {
    /// One image chunk of so many rows, not encoded.
    #[cfg(test)]
    pub fn of_one(key: Key, n_rows: usize) -> Self {
        Self(vec![Image { key: Some(key), n_rows, embeddings: None }])
    }

    /// Embedding row `index` of the prompt; `None` beyond the last, or where the image chunk is not encoded.
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        let (image, row) = self.place_of(index)?;
        image.embeddings.as_ref()?.row(row)
    }

    /// What an entry is, in terms that other prompts share.
    pub fn item(&self, input: Input) -> Item {
        match input {
            Input::Token(token) => Item::Token(token),
            Input::Row(row) => match self.place_of(row) {
                Some((image, row)) => image.key.map_or(Item::Unknown, |key| Item::Row(key, row)),
                None => Item::Unknown,
            },
        }
    }

    /// Image chunk of an embedding row, and its row there.
    fn place_of(&self, mut row: usize) -> Option<(&Image, usize)> {
        for image in &self.0 {
            match row.checked_sub(image.n_rows) {
                Some(rest) => row = rest,
                None => return Some((image, row)),
            }
        }
        None
    }
}

impl Vlm {
    /// [`Vlm::read`], then [`Vlm::encode`] of all pictures. `progress` gets (done, all) image chunks.
    ///
    /// # Errors
    /// As those.
    pub fn prepare(
        &mut self,
        messages: &[Message],
        pictures: &[Picture],
        progress: impl FnMut(usize, usize),
    ) -> Result<Prepared, VlmError> {
        let mut prepared = self.read(messages, pictures)?;
        let all = Kept::all(prepared.prompt.n_visual());
        self.encode(&mut prepared, &all, progress)?;
        Ok(prepared)
    }

    /// Renders the messages with the model's chat template, tokenizes, and cuts the pictures up, without encoding them.
    ///
    /// Of a conversation, only the last turn asks: what was asked before has no part in the importance.
    ///
    /// # Errors
    /// [`VlmError::Chat`] when the template refuses the messages, [`VlmError::Llama`] when the pictures are refused.
    pub fn read(&self, messages: &[Message], pictures: &[Picture]) -> Result<Prepared, VlmError> {
        let vision = self.encoder.vision.lock();
        let (parts, chunks) = cut(&self.template, &vision, messages, pictures)?;
        let pieces = chunks.iter(&vision)?;
        let mut prompt = Prompt::new(&pieces, pictures);
        if let Some((n_tail, n_earlier)) = self.earlier_turns(messages, &parts) {
            prompt.skip_earlier_turns(n_tail, n_earlier);
        }
        // Without memory nobody asks what a picture shows.
        let remembered = if self.options.encoder_cache_bytes > 0 { pictures } else { &[] };
        let ids: Vec<_> = remembered.iter().map(Picture::content_id).collect();
        let mut n_chunks = vec![0; pictures.len()];
        let images = pieces.iter().filter_map(|piece| if let Chunk::Image(image) = piece { Some(image) } else { None });
        let images = images.map(|image| {
            let picture = image.picture();
            let (chunk, n_rows) = (n_chunks[picture], image.n_tokens());
            n_chunks[picture] += 1;
            let key = ids.get(picture).map(|&picture| Key { picture, chunk, n_rows });
            Image { key, n_rows, embeddings: None }
        });
        let images = Images(images.collect());
        drop(pieces);
        drop(vision);
        let n_embd = self.model().n_embd();
        let chunks = Some(chunks);
        Ok(Prepared { prompt, n_encoded: 0, n_reused: 0, n_projected: 0, encode_ms: None, chunks, images, n_embd })
    }

    /// Encodes the image chunks that hold `kept` visual tokens and are not encoded yet, those apart whose encoder outputs
    /// are still there. Chunks are encoded independently of each other, so leaving some out changes nothing in the others.
    /// `progress` gets (done, all) of them.
    ///
    /// # Errors
    /// [`VlmError::Llama`] when the encoder fails, or the prompt is another model's.
    pub fn encode(
        &mut self,
        prepared: &mut Prepared,
        kept: &Kept,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(), VlmError> {
        let start = Instant::now();
        let needed = prepared.prompt.needed(kept).into_iter().enumerate();
        let images = &prepared.images.0;
        let is_missing = |index: &usize| images.get(*index).is_some_and(|image| image.embeddings.is_none());
        let todo: Vec<usize> =
            needed.filter(|(_, needed)| *needed).map(|(index, _)| index).filter(is_missing).collect();
        if todo.is_empty() {
            return Ok(());
        }
        let n_todo = todo.len();
        for (done, index) in todo.into_iter().enumerate() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(LlamaError::Cancelled.into());
            }
            progress(done, n_todo);
            let key = prepared.images.0[index].key;
            let (embeddings, origin) = self.encoder.embeddings(key, prepared.chunks.as_ref(), index, &self.towers)?;
            *match origin {
                Origin::Encoder => &mut prepared.n_encoded,
                Origin::Cache => &mut prepared.n_reused,
                Origin::Tower => &mut prepared.n_projected,
            } += 1;
            prepared.images.0[index].embeddings = Some(embeddings);
        }
        progress(n_todo, n_todo);
        prepared.encode_ms = Some(prepared.encode_ms.unwrap_or(0.0) + ms_since(start));
        Ok(())
    }

    /// Number of visual tokens of a prompt, V, without encoding its pictures.
    ///
    /// # Errors
    /// As [`Vlm::read`].
    pub fn count_visual(&self, messages: &[Message], pictures: &[Picture]) -> Result<usize, VlmError> {
        Ok(self.read(messages, pictures)?.prompt.n_visual())
    }

    /// Bytes of encoder outputs that are kept.
    pub fn encoder_cache_bytes(&self) -> usize {
        self.encoder.cache.lock().n_bytes()
    }

    /// Forgets all encoder outputs.
    pub fn clear_encoder_cache(&mut self) {
        self.encoder.cache.lock().clear();
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
fn cut(
    template: &ChatTemplate,
    vision: &Vision,
    messages: &[Message],
    pictures: &[Picture],
) -> Result<(Vec<PromptPart>, Chunks), VlmError> {
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
        let image = |rows: &[f32]| Image { n_rows: rows.len(), embeddings: Some(Arc::new(chunk(rows))), key: None };
        let images = vec![image(&[0.0, 1.0, 2.0]), image(&[3.0, 4.0])];
        let mut prepared =
            Prepared { images: Images(images), n_embd: 2, ..Prepared::text(Prompt::of(Vec::new(), rows, 5)) };
        assert_eq!(prepared.visual_rows(), [[0.0, 0.5], [2.0, 2.5], [4.0, 4.5]]);
        prepared.images.0[0].embeddings = None;
        assert_eq!(prepared.visual_rows(), [&[][..], &[], &[4.0, 4.5]]);
        assert_eq!((prepared.row(1), prepared.row(5)), (None, None));
    }
}
