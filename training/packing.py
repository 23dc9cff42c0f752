"""Scenes as training batches: many independent question/answer turns behind one picture.

Every turn sees the picture and itself only, at the positions it would have as the first turn.  So one pass of the
vision encoder trains about 20 answers, and no turn leaks another one's answer.  In a conversation the turns follow and
see each other, as in a chat.
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

    Each is a dict of tensors: pixels (B, views, height, width, 3) uint8, classes (B, views, rows, columns, 3), and
    with `text` the arrays of `pack`, `region` (B, V), the item whose tokens these are, `place` (B, 3, V), the
    positions of the visual tokens, and `kept` (B, V), which of all visual tokens these V are.
    """

    def __init__(self, family, seed, batch, text, large=0.0, token_dropout=0.0, region="centre", counting=1.0,
                 conversation=0.0):
        if token_dropout and batch > 1:
            raise ValueError(f"token dropout with {batch} pictures at once, which would keep unequal numbers of "
                             "visual tokens; take one picture at once")
        self.family, self.seed, self.batch, self.text = family, seed, batch, text
        self.large, self.token_dropout, self.region, self.counting = large, token_dropout, region, counting
        self.conversation = conversation

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        n, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        while True:
            first = self.seed + n * self.batch
            draw = random.Random(f"tiles {first}")
            tiles = draw.choice(scenes.LARGE) if draw.random() < self.large else scenes.ONE_TILE
            rows = [self._row(random.Random(first + i), tiles) for i in range(self.batch)]
            yield {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
            n += stride

    def _row(self, rng, tiles):
        items = scenes.make_scene(rng, tiles)
        picture, views = scenes.render(items, rng, tiles), self.family.views(tiles)
        row = dict(pixels=np.stack([scenes.look(picture, view) for view in views]),
                   classes=np.stack([scenes.patch_classes(items, view) for view in views]))
        if self.text:
            turns, needs = pack(items, rng, self.family, tiles == scenes.ONE_TILE, self.counting,
                                rng.random() < self.conversation)
            centre, box = self.family.maps(items, tiles)
            if len(views) > 1:
                centre[-scenes.GRID ** 2:] = -1         # no label can be read in the overview
            place, after = self.family.positions(tiles)
            kept = np.arange(centre.size)
            if rng.random() < self.token_dropout:
                kept, turns["gold"] = drop_visual_tokens(centre, box, needs, turns["gold"], rng)
            turns["subject"] = np.where(turns["gold"] >= 0, turns["subject"], -1)
            turns["positions"] += after
            region = centre if self.region == "centre" else box
            row |= turns | dict(region=region[kept], place=place[:, kept], kept=kept)
        return row


def pack(items, rng, family, lists, counting, conversation=False):
    """Turns about one scene, each array (TEXT,), and what each gold token needs: the indices of items.  In a
    conversation all turns are shared and stand behind each other.

    ids, positions (counted from the end of the picture), turn: number of the turn, 0 for what all turns share,
    -1 for padding; gold: the next token where it belongs to an answer, else -1; subject: the item that the gold
    token is about, else -1.
    """
    encode = lambda text: tokenizer.ids(text, family)
    ids = encode(family.end)
    packed = dict(ids=list(ids), positions=list(range(len(ids))), turn=[0] * len(ids),
                  gold=[-1] * len(ids), subject=[-1] * len(ids))
    needs = [()] * len(ids)
    turns, misses, shared = 0, 0, len(ids)
    most = rng.randint(2, 8) if conversation else TEXT
    while misses < 3 and turns < most:      # until three questions did not fit
        wants_list = lists and turns == 0 and misses == 0 and rng.random() < questions.LIST_SHARE
        question = questions.ask("list", items, rng) if wants_list else questions.sample(items, rng, counting)
        before = "\n" if rng.random() < NEWLINE_SHARE else ""
        if conversation and turns > 0:
            before = questions.NEXT_TURN
        prompt = encode(before + questions.turn(question.text))
        answer = encode(question.answer + questions.END)
        # The last token is only ever predicted, unless a turn follows.
        length = len(prompt) + len(answer) - (not conversation)
        if len(packed["ids"]) + length > TEXT:
            misses += 1
            continue
        turns += 1
        first = len(packed["ids"]) if conversation else shared
        packed["ids"] += (prompt + answer)[:length]
        packed["positions"] += range(first, first + length)
        packed["turn"] += [0 if conversation else turns] * length
        packed["gold"] += ([-1] * (len(prompt) - 1) + answer + [-1])[:length]
        packed["subject"] += ([-1] * (len(prompt) - 1) + _subjects(question, answer, encode(",")[0]) + [-1])[:length]
        needs += [question.needs] * length
    filler = dict(ids=0, positions=0, turn=PADDING, gold=-1, subject=-1)
    arrays = {key: np.array(values + [filler[key]] * (TEXT - len(values))) for key, values in packed.items()}
    return arrays, needs


def drop_visual_tokens(centre, box, needs, gold, rng):
    """Visual-token dropout for one picture: which visual tokens are kept (ascending), and the gold tokens (TEXT,)
    that can still be told from them.

    Half the time only background and outer patches go: every item keeps its central patch, every answer stays
    valid.  Otherwise whole items go too, and only questions whose items all stayed are trained.
    """
    draw = np.random.default_rng(rng.getrandbits(32))
    background, outer = draw.random() ** 3, draw.uniform(0.15, 1)
    kept = (draw.random(box.size) < np.where(box >= 0, outer, background)) | (centre >= 0)
    if draw.random() < 0.5:
        stays = draw.random(box.max() + 1) < draw.uniform(0.1, 1)
        kept &= (box < 0) | stays[box]
        seen = [all(stays[n] for n in items) for items in needs]
        gold = np.where(np.array(seen + [False] * (len(gold) - len(seen))), gold, -1)
    return np.flatnonzero(kept), gold


def attention_bias(turn, n_prefix):
    """(B, 1, T, n_prefix + T): 0 where a text position may look, -inf elsewhere.  Causal; turns do not see each
    other, and all of them see the n_prefix tokens ahead."""
    same = turn[:, None, :] == turn[:, :, None]
    allowed = ((turn[:, None, :] == 0) | same).tril()
    bias = torch.zeros(allowed.shape, device=turn.device).masked_fill_(~allowed, float("-inf"))
    return torch.nn.functional.pad(bias, (n_prefix, 0)).unsqueeze(1)


def _subjects(question, answer, comma):
    """The item each answer token is about; a list names them in turn, with commas between."""
    if question.kind != "list":
        return [question.subject] + [-1] * (len(answer) - 1)
    number = np.cumsum([token == comma for token in answer])
    return [-1 if token == comma else int(n) for token, n in zip(answer[:-1], number)] + [-1]
