"""Scenes as training batches: many independent question/answer turns behind one picture.

Every turn sees the picture and itself only, at the positions it would have as the first turn.  So one pass of the
vision encoder trains about 20 answers, and no turn leaks another one's answer.
"""
import random

import numpy as np
import torch

import questions
import scenes
import tokenizer

TEXT = 288                      # text tokens per picture
NEWLINE_SHARE = 0.25            # turns with a newline after the picture, as some chat front ends put there
PADDING = -1


class Batches(torch.utils.data.IterableDataset):
    """Endless batches of freshly drawn scenes.  Batch n is the same whatever the number of workers.

    Each is a dict of tensors: pixels (B, 448, 448, 3) uint8, classes (B, 256, 3), and with `text` the arrays of
    `pack` and a `visible` mask (B, 256) of the visual tokens that token dropout left.
    """

    def __init__(self, seed, batch, text, token_dropout=0.0, region="centre"):
        self.seed, self.batch, self.text = seed, batch, text
        self.token_dropout, self.region = token_dropout, region

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        n, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        while True:
            rows = [self._row(random.Random(self.seed + n * self.batch + i)) for i in range(self.batch)]
            yield {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
            n += stride

    def _row(self, rng):
        items = scenes.make_scene(rng)
        row = dict(pixels=np.array(scenes.render(items, rng)), classes=scenes.patch_classes(items).reshape(-1, 3))
        if self.text:
            row |= pack(items, rng)
            centre, box = (m.reshape(-1) for m in scenes.item_maps(items))
            row["region"] = centre if self.region == "centre" else box
            row["visible"] = np.ones(centre.size, bool)
            if rng.random() < self.token_dropout:
                row["visible"], row["gold"] = drop_visual_tokens(centre, box, row["subject"], row["gold"], rng)
        return row


def pack(items, rng):
    """Turns about one scene, (TEXT,) each.

    ids, positions (counted from the end of the picture), turn: number of the turn, 0 for what all turns share,
    -1 for padding; gold: the next token where it belongs to an answer, else -1; subject: the item that the gold
    token is about, else -1.
    """
    ids = tokenizer.ids(questions.AFTER_IMAGE)
    packed = dict(ids=list(ids), positions=list(range(len(ids))), turn=[0] * len(ids),
                  gold=[-1] * len(ids), subject=[-1] * len(ids))
    turns, misses, shared = 0, 0, len(ids)
    while misses < 3:               # until three questions did not fit
        wants_list = turns == 0 and misses == 0 and rng.random() < questions.LIST_SHARE
        question = questions.ask("list", items, rng) if wants_list else questions.sample(items, rng)
        newline = "\n" if rng.random() < NEWLINE_SHARE else ""
        prompt = tokenizer.ids(newline + questions.turn(question.text))
        answer = tokenizer.ids(question.answer + questions.END)
        length = len(prompt) + len(answer) - 1          # the last token is only ever predicted
        if len(packed["ids"]) + length > TEXT:
            misses += 1
            continue
        turns += 1
        packed["ids"] += (prompt + answer)[:-1]
        packed["positions"] += range(shared, shared + length)
        packed["turn"] += [turns] * length
        packed["gold"] += [-1] * (len(prompt) - 1) + answer
        packed["subject"] += [-1] * (len(prompt) - 1) + _subjects(question, len(answer), len(items))
    filler = dict(ids=0, positions=0, turn=PADDING, gold=-1, subject=-1)
    return {key: np.array(values + [filler[key]] * (TEXT - len(values))) for key, values in packed.items()}


def drop_visual_tokens(centre, box, subject, gold, rng):
    """Visual-token dropout for one picture: which visual tokens stay visible (256,), and the gold tokens (TEXT,)
    that can still be told from them.

    Half the time only background and outer patches go: every item keeps its central patch, every answer stays
    valid.  Otherwise whole items go too, and only questions about one item that stayed are trained.
    """
    draw = np.random.default_rng(rng.getrandbits(32))
    background, outer = draw.random() ** 2, draw.uniform(0.15, 1)
    visible = (draw.random(box.size) < np.where(box >= 0, outer, background)) | (centre >= 0)
    if draw.random() < 0.5:
        stays = draw.random(box.max() + 1) < draw.uniform(0.1, 1)
        visible &= (box < 0) | stays[box]
        starts = np.concatenate([[True], gold[:-1] < 0])            # the first token of an answer
        gold = np.where(starts & (subject >= 0) & stays[subject], gold, -1)
    return visible, gold


def attention_bias(turn, visible, n_before):
    """(B, 1, S, S): 0 where a position may look, -inf elsewhere.  Causal; turns do not see each other, and
    nobody sees a dropped visual token.  S = n_before + 256 + TEXT."""
    shared = torch.zeros(len(turn), n_before, dtype=turn.dtype, device=turn.device)
    number = torch.cat([shared, torch.where(visible, 0, PADDING - 1), turn], 1)
    same = (number[:, None, :] == number[:, :, None]) & (number[:, None, :] >= PADDING)
    allowed = ((number[:, None, :] == 0) | same).tril()
    bias = torch.zeros(allowed.shape, dtype=torch.bfloat16, device=turn.device)
    return bias.masked_fill_(~allowed, float("-inf")).unsqueeze(1)


def _subjects(question, length, n_items):
    """The item each answer token is about; a list has four tokens per item: colour, shape, label, comma."""
    if question.kind == "list":
        return [j // 4 if j % 4 < 3 and j // 4 < n_items else -1 for j in range(length)]
    return [question.subject] + [-1] * (length - 1)
