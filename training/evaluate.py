"""Accuracy of guides alone, of a target alone, and of the target with the visual tokens that rank highest.

    python evaluate.py --guide build/guide-7-settle.pt --target build/target-7-settle.pt \\
                       --set ../models/held-out-large --out large.json
    python evaluate.py --show a.json b.json         # the tables of parts made with --part 0/2 and 1/2

F32 weights, greedy answers, exact match; questions with a one-word answer.  Visual tokens are removed ahead of the
target's first layer and keep their positions; a budget of r keeps floor(r * V) of V.  Where the guide is of another
family, a target's token gets the mean importance per pixel of what it covers.
"""
import argparse
import json
import pathlib
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import model as network
import questions
import scenes
import tokenizer
from model import attend

BUDGETS = (0.5, 0.25, 0.1, 0.05)
RANDOM_BUDGETS = (0.25, 0.1)
LONGEST = 12                    # tokens of an answer


class Reader:
    """One model in front of one picture at a time."""

    def __init__(self, checkpoint):
        self.model = network.load(checkpoint).eval()
        self.family = self.model.family
        self.before = torch.tensor(self._ids(self.family.before))
        self.end = self._ids(questions.END)[0]

    def open(self, picture):
        """Look at a PIL picture; its sides are multiples of a tile's."""
        self.tiles = tuple(n // scenes.SIDE for n in picture.size)
        views = [torch.from_numpy(scenes.look(picture, view))[None] for view in self.family.views(self.tiles)]
        self.visual = torch.cat([self.model.proj(self.model.vision(view)) for view in views], 1)
        place, self.after = self.family.positions(self.tiles)
        self.place = torch.from_numpy(place)
        self.count = self.visual.shape[1]
        self.full = self._prefill(torch.arange(self.count))

    def answer(self, question, kept=None):
        """Greedy answer with all visual tokens or the kept ones: text, mean log probability of its tokens, and
        importance of each visual token, summed over layers, heads and queries after the picture."""
        cache, visual = (self.full, self.count) if kept is None else (self._prefill(kept), len(kept))
        ids = self._ids(self.family.end + questions.turn(question))
        at, tokens, logarithms, importance = len(self.before) + self.after, [], [], torch.zeros(visual)
        while len(tokens) < LONGEST:
            positions = torch.arange(at, at + len(ids)).expand(1, 3, -1)
            logits, cache, mass = self._extend(self.model.embed(torch.tensor([ids])), positions, cache)
            importance += mass[len(self.before):len(self.before) + visual]
            at += len(ids)
            logarithm, token = logits.log_softmax(-1).max(-1)
            logarithms.append(float(logarithm))
            if token == self.end:
                break
            tokens.append(int(token))
            ids = [int(token)]
        return tokenizer.load(self.family).decode(tokens), float(np.mean(logarithms)), importance

    def density(self, importance):
        """Importance per pixel on the picture's grid of patches, of a family with one view."""
        grid = importance.view(*(n * scenes.SIDE // self.family.cell for n in self.tiles[::-1])) / self.family.cell ** 2
        patches = self.family.cell // scenes.PATCH
        return grid.repeat_interleave(patches, 0).repeat_interleave(patches, 1)

    def cover(self, density):
        """The mean of a density over what each visual token covers."""
        parts = []
        for v in self.family.views(self.tiles):
            x, y, width, height = (n // scenes.PATCH for n in (v.x, v.y, v.width, v.height))
            part = density[None, y:y + height, x:x + width]
            parts.append(F.adaptive_avg_pool2d(part, (v.rows, v.columns)).flatten())
        return torch.cat(parts)

    def _ids(self, text):
        return tokenizer.ids(text, self.family)

    def _prefill(self, kept):
        n = len(self.before)
        x = torch.cat([self.model.embed(self.before)[None], self.visual[:, kept]], 1)
        rotation = self.model.rotation(torch.cat([torch.arange(n).expand(3, -1), n + self.place[:, kept]], 1)[None])
        cache = []
        for block in self.model.blocks:
            q, k, v = block.qkv(x, rotation)
            cache.append((k, v))
            x = block.add(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return cache

    def _extend(self, x, positions, cache):
        """Logits after the last of the new tokens, the longer cache, and the attention that each token got."""
        new, total = x.shape[1], x.shape[1] + cache[0][0].shape[2]
        bias = torch.full((new, total), float("-inf")).triu(total - new + 1)
        rotation, longer, mass = self.model.rotation(positions), [], 0
        for block, (past_k, past_v) in zip(self.model.blocks, cache):
            q, k, v = block.qkv(x, rotation)
            k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
            longer.append((k, v))
            attended, attention = attend(q, k, v, bias)
            mass = mass + attention.sum((0, 1, 2))
            x = block.add(x, attended)
        return self.model.head(self.model.norm(x))[0, -1], longer, mass


@torch.no_grad()
def examine(args):
    """One record per question: the question, and by row of the table the answer and whether it was right."""
    guides = {reader.model.config.name: reader for reader in map(Reader, args.guides)}
    target = args.target and Reader(args.target)
    asked = [json.loads(line) for line in (args.set / "questions.jsonl").read_text().splitlines()]
    part, parts = map(int, args.part.split("/"))
    records = []
    for name in sorted({q["image"] for q in asked})[:args.pictures][part::parts]:
        picture = Image.open(args.set / name).convert("RGB")
        for reader in [*guides.values()] + [target] * bool(target):
            reader.open(picture)
        for q in asked:
            if q["image"] == name and q["kind"] in questions.ONE_WORD:
                records.append(q | read(q["question"], guides, target))
        if args.out:
            args.out.write_text(json.dumps(records))
    return records


def read(question, guides, target):
    """The answers to one question by row of the table, and the confidence of each guide."""
    answers, confidence, ranks = {}, {}, {}
    for name, guide in guides.items():
        answers[name], logarithm, importance = guide.answer(question)
        confidence[name] = float(np.exp(logarithm))
        if target and guide.family is not target.family:
            importance = target.cover(guide.density(importance))
        ranks[f"{name}'s best"] = importance
    if target:
        answers["target"] = target.answer(question)[0]
        ranks["random"] = torch.from_numpy(np.random.default_rng(list(question.encode())).random(target.count))
        for budget in BUDGETS:
            for row, score in ranks.items():
                if row != "random" or budget in RANDOM_BUDGETS:
                    kept = score.topk(max(1, int(budget * target.count))).indices.sort().values
                    answers[f"target, {row} {budget:.0%}"] = target.answer(question, kept)[0]
    return dict(answers=answers, confidence=confidence)


def show(records):
    """Markdown table of percentages, and how well a guide's confidence tells right from wrong."""
    kinds = Counter(r["kind"] for r in records)
    print("| | " + " | ".join(f"{kind} ({n})" for kind, n in {"all": len(records), **kinds}.items()) + " |")
    print("|---" * (len(kinds) + 2) + "|")
    for row in records[0]["answers"]:
        cells = [[r["answers"][row] == r["answer"] for r in records if kind in ("all", r["kind"])]
                 for kind in ["all", *kinds]]
        print(f"| {row} | " + " | ".join(f"{100 * np.mean(cell):.1f}" for cell in cells) + " |")
    for guide in records[0]["confidence"]:
        best = sorted(records, key=lambda r: -r["confidence"][guide])
        right = np.array([r["answers"][guide] == r["answer"] for r in best])
        ranks = np.arange(len(best))
        above = (ranks[right].sum() - right.sum() * (right.sum() - 1) / 2) / max(1, right.sum() * (~right).sum())
        print(f"\n{guide}: AUROC of its confidence {1 - above:.3f}; "
              f"most confident half right {100 * right[:len(right) // 2].mean():.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--guides", nargs="+")
    parser.add_argument("--target", help="without it only the guides answer")
    parser.add_argument("--set", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "models/held-out")
    parser.add_argument("--pictures", type=int, help="the first so many")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th picture from the I-th on")
    parser.add_argument("--out", type=pathlib.Path, help="write the records here, after every picture")
    parser.add_argument("--show", nargs="+", type=pathlib.Path, help="only print the table of these records")
    args = parser.parse_args()
    records = [r for p in args.show for r in json.loads(p.read_text())] if args.show else examine(args)
    show(records)


if __name__ == "__main__":
    main()
