"""What differs between the two kinds of model outside the network: what they see of a picture, where its visual
tokens stand, and their tokenizers.

  internvl   448x448 tiles, then an overview; one token per 28-pixel patch; positions count up
  qwen2vl    the whole picture as one grid; one token per 56-pixel block of 2x2 patches; a visual token stands at
             (time, row, column), and the text goes on after the larger side of the grid
"""
from dataclasses import dataclass

import numpy as np

import scenes


@dataclass(frozen=True)
class Family:
    """`projector` and `pre_tokenizer` are llama.cpp's names; `cell` is the side of what one visual token covers, in
    pixels; `start` and `end` stand around the picture."""
    name: str
    projector: str
    cell: int
    start: str
    end: str
    filler: str                 # the special token that Hugging Face templates put where a visual token goes
    vocabulary: int             # at most, without special tokens
    pre_tokenizer: str

    @property
    def before(self):
        """Chat text ahead of the picture."""
        return "<|im_start|>user\n" + self.start

    @property
    def specials(self):
        return ["<|endoftext|>", "<|im_start|>", "<|im_end|>", self.start, self.end, self.filler]

    def views(self, tiles):
        """What the vision encoder gets, one after the other."""
        return [scenes.whole(tiles)] if self is QWEN2VL else scenes.tile_views(tiles)

    def maps(self, items, tiles):
        """`scenes.item_maps` of all visual tokens of a picture in their order: (2, V)."""
        maps = [scenes.item_maps(items, view, self.cell) for view in self.views(tiles)]
        return np.concatenate([np.stack(pair).reshape(2, -1) for pair in maps], 1)

    def positions(self, tiles):
        """Rotary positions (time, row, column) of the visual tokens, counted from the first: (3, V); and the position
        of the first token after them."""
        if self is QWEN2VL:
            columns, rows = (n * scenes.SIDE // self.cell for n in tiles)
            row, column = np.divmod(np.arange(rows * columns), columns)
            return np.stack([0 * row, row, column]), max(rows, columns)
        count = len(self.views(tiles)) * scenes.GRID ** 2
        return np.tile(np.arange(count), (3, 1)), count


INTERNVL = Family("internvl", "internvl", scenes.PATCH, "<img>", "</img>", "<IMG_CONTEXT>", 768, "gpt-2")
QWEN2VL = Family("qwen2vl", "qwen2vl_merger", 2 * scenes.PATCH, "<|vision_start|>", "<|vision_end|>",
                 "<|image_pad|>", 400, "qwen2")
FAMILIES = {family.name: family for family in (INTERNVL, QWEN2VL)}
