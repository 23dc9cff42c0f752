"""The pictures beside the models: two held-out sets and four samples, with their questions.

    python pictures.py              # writes ../models/held-out, held-out-large and pictures
    python pictures.py --check      # draws them again and compares; exit status 1 where a pixel or question differs

Their seeds lie outside the ranges that training draws from.
"""
import argparse
import io
import json
import pathlib
import random
import sys

import numpy as np
import oxipng
from PIL import Image

import questions
import scenes

MODELS = pathlib.Path(__file__).parent.parent / "models"
HELD_OUT_SEED, HELD_OUT_PICTURES = 990_000_000, 200
LARGE_SEED, LARGE_PICTURES = 992_000_000, 84            # a dozen of each size
SAMPLE_SEED = 995_000_000
SAMPLES = {                     # name: seed offset and kinds of question
    "flat": (8, ("label", "colour", "exist")),
    "gradient": (28, ("label", "shape", "count_shape")),
    "noise": (13, ("colour", "exist", "count_colour")),
    "texture": (7, ("label", "shape", "count_colour")),
}


def held_out():
    """Yields (file name, picture, questions) of the held-out set: per picture two labels, a colour, a shape, a
    yes/no and a count; every fourth picture a list."""
    for n in range(HELD_OUT_PICTURES):
        yield examined(HELD_OUT_SEED + n, n, scenes.ONE_TILE, lists=n % 4 == 0)


def held_out_large():
    """The same of pictures of several tiles, without lists."""
    for n in range(LARGE_PICTURES):
        yield examined(LARGE_SEED + n, n, scenes.LARGE[n % len(scenes.LARGE)], lists=False)


def examined(seed, n, tiles, lists):
    """File name, picture and questions of the n-th scene of a set."""
    rng = random.Random(seed)
    items = scenes.make_scene(rng, tiles)
    picture = scenes.render(items, rng, tiles)
    kinds = ["label", "label", "colour", "shape", "exist", "count_shape" if n % 2 else "count_colour"]
    asked = []
    for kind in kinds + ["list"] * lists:
        for _ in range(8):          # a second label question, if it can be a different one
            question = questions.ask(kind, items, rng)
            if question.text not in [q.text for q in asked]:
                break
        asked.append(question)
    return f"images/{n:04d}.png", picture, asked


def samples():
    """Yields (file name, picture, questions) of the four samples."""
    for name, (offset, kinds) in SAMPLES.items():
        rng = random.Random(SAMPLE_SEED + offset)
        items = scenes.make_scene(rng)
        picture = scenes.render(items, rng)
        asked = [questions.ask(kind, items, rng) for kind in questions.ONE_WORD]
        yield f"{name}.png", picture, [q for q in asked if q.kind in kinds]


def png(picture):
    """The picture as a PNG file, losslessly made small."""
    plain = io.BytesIO()
    picture.save(plain, "PNG")
    filters = [oxipng.RowFilter.NoOp, oxipng.RowFilter.Sub, oxipng.RowFilter.Up]
    return oxipng.optimize_from_memory(plain.getvalue(), filter=filters, fast_evaluation=False,
                                       deflate=oxipng.Deflaters.libdeflater(11), strip=oxipng.StripChunks.all())


def record(question):
    return dict(question=question.text, answer=question.answer, kind=question.kind)


def held_out_text(rows):
    """questions.jsonl: one question a line."""
    return "".join(json.dumps(dict(image=name, **record(q))) + "\n" for name, _, asked in rows for q in asked)


def samples_text(rows):
    """questions.json: one object per picture."""
    return json.dumps([dict(image=name, questions=[record(q) for q in asked]) for name, _, asked in rows], indent=2) + "\n"


def write(folder, file, rows, text):
    for name, picture, _ in rows:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(picture))
    (folder / file).write_text(text)
    print(f"{folder}  {sum(p.stat().st_size for p in folder.rglob('*') if p.is_file())} bytes")


def differences(folder, file, rows, text):
    """Names of the files that are not what this code draws."""
    wrong = [name for name, picture, _ in rows
             if not np.array_equal(np.asarray(Image.open(folder / name).convert("RGB")), np.asarray(picture))]
    return wrong + [file] * ((folder / file).read_text() != text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    parser.add_argument("--out", type=pathlib.Path, default=MODELS)
    args = parser.parse_args()
    status = 0
    for folder, file, make, text in (("held-out", "questions.jsonl", held_out, held_out_text),
                                     ("held-out-large", "questions.jsonl", held_out_large, held_out_text),
                                     ("pictures", "questions.json", samples, samples_text)):
        rows = list(make())
        where = args.out / folder, file, rows, text(rows)
        if not args.check:
            write(*where)
        elif wrong := differences(*where):
            print(f"{args.out / folder}: differs in {', '.join(wrong)}; use the pinned requirements and DejaVu 2.37")
            status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
