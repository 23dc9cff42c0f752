"""The demo world: scenes of labelled shapes, drawn as pictures of one 448x448 tile or of several.

A scene holds 5 to 10 items that do not overlap; a large one, of 2 to 6 tiles, holds 6 to 16 small ones, none of
which crosses the edge of a tile.  Each has a shape, a colour and a one-character label written on it.  No two
items of a scene share a label or a (colour, shape) pair, so every question of `questions.py` has exactly one
right answer.

Two choices make the task learnable in minutes on a CPU: centres lie within 2 pixels of a patch centre, and
labels are white with a black outline.  Background, sizes, colour jitter and placement are random.

`tiles` is (columns, rows) throughout.
"""
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 448                      # side of a tile, pixels
PATCH = 28                      # patch side, pixels; one patch is one visual token
GRID = SIDE // PATCH            # patches per side of a tile
BAND = SIDE // 4                # height of a band of the reading order, pixels
SHAPES = ["circle", "square", "triangle", "star", "diamond", "cross"]
COLOURS = {"red": (214, 38, 38), "green": (34, 150, 60), "blue": (40, 80, 220), "yellow": (240, 220, 40),
           "purple": (140, 50, 170), "orange": (245, 135, 20), "white": (248, 248, 248), "black": (22, 22, 22)}
COLOUR_NAMES = list(COLOURS)
LABELS = "0123456789ACEFHKLNPRTUXY"     # no look-alikes: O/0, I/1, S/5, B/8, Z/2, G/6
RADII, SMALL_RADII = (28, 35, 42), (28,)        # of items on one tile, and in a large scene
ONE_TILE = (1, 1)
LARGE = [(2, 1), (1, 2), (3, 1), (1, 3), (2, 2), (3, 2), (2, 3)]
FONT = "DejaVuSans-Bold.ttf"            # version 2.37, found in the system's font folders

_fonts = {}


class Item(NamedTuple):
    """One labelled shape; centre and radius in pixels."""
    shape: str
    colour: str
    label: str
    x: int
    y: int
    radius: int


class View(NamedTuple):
    """A part of a picture that an encoder sees: its corner and size in the picture, and the size it is resized to."""
    x: int
    y: int
    width: int
    height: int
    columns: int        # size it is resized to, patches
    rows: int


def whole(tiles):
    """The whole picture at its own size."""
    return View(0, 0, tiles[0] * SIDE, tiles[1] * SIDE, tiles[0] * GRID, tiles[1] * GRID)


def tile_views(tiles):
    """What llama.cpp's `internvl` preprocessor makes of a picture: its tiles row by row, then, if there are several,
    an overview, the whole picture squeezed into one tile."""
    columns, rows = tiles
    views = [View(c * SIDE, r * SIDE, SIDE, SIDE, GRID, GRID) for r in range(rows) for c in range(columns)]
    return views if tiles == ONE_TILE else views + [whole(tiles)._replace(columns=GRID, rows=GRID)]


def make_scene(rng, tiles=ONE_TILE):
    """The items of a random scene, in reading order: horizontal bands, left to right inside a band."""
    count = rng.randint(5, 10) if tiles == ONE_TILE else rng.randint(6, 16)
    pairs = rng.sample([(colour, shape) for colour in COLOUR_NAMES for shape in SHAPES], count)
    labels = rng.sample(LABELS, count)
    items = []
    for (colour, shape), label in zip(pairs, labels):
        radius = rng.choice(RADII if tiles == ONE_TILE else SMALL_RADII)
        low, high = (1, GRID - 2) if radius < 40 else (2, GRID - 3)
        column, row = (0, 0) if tiles == ONE_TILE else (rng.randrange(n) for n in tiles)
        for _ in range(60):             # an item that finds no room is left out
            x, y = (PATCH * rng.randint(low, high) + PATCH // 2 + rng.randint(-2, 2) for _ in range(2))
            x, y = x + column * SIDE, y + row * SIDE
            if all(max(abs(x - i.x), abs(y - i.y)) >= radius + i.radius + 2 for i in items):
                items.append(Item(shape, colour, label, x, y, radius))
                break
    return sorted(items, key=lambda i: (i.y // BAND, i.x, i.y))


def render(items, rng, tiles=ONE_TILE):
    """The picture of a scene."""
    picture = _background(rng, tiles[0] * SIDE, tiles[1] * SIDE)
    draw = ImageDraw.Draw(picture)
    for i in items:
        fill = tuple(int(np.clip(v + rng.randint(-12, 12), 0, 255)) for v in COLOURS[i.colour])
        light = sum(v * weight for v, weight in zip(fill, (0.3, 0.59, 0.11))) > 140
        edge = tuple(int(v * 0.5) if light else int(v + (255 - v) * 0.35) for v in fill)
        if i.shape == "circle":
            box = (i.x - i.radius, i.y - i.radius, i.x + i.radius, i.y + i.radius)
            draw.ellipse(box, fill=fill, outline=edge, width=2)
        else:
            draw.polygon(_outline(i), fill=fill, outline=edge, width=2)
        low = 0.1 * i.radius if i.shape == "triangle" else 0
        draw.text((i.x, i.y + low), i.label, font=_font(int(0.9 * i.radius)), fill=(250, 250, 250), anchor="mm",
                  stroke_width=2, stroke_fill=(10, 10, 10))
    return picture


def look(picture, view):
    """The pixels of a view, (rows * PATCH, columns * PATCH, 3) uint8; resized as llama.cpp does, like Pillow."""
    part = picture.crop((view.x, view.y, view.x + view.width, view.y + view.height))
    size = view.columns * PATCH, view.rows * PATCH
    return np.array(part if part.size == size else part.resize(size, Image.Resampling.BICUBIC))


def item_maps(items, view, cell=PATCH):
    """Two int8 maps of a view's cells, `cell` pixels wide: the index of the item whose centre lies in the cell,
    and of the item whose bounding box covers the cell's centre or whose centre lies in it; -1 elsewhere."""
    width, height = view.columns * PATCH, view.rows * PATCH
    centre, box = np.full((2, height // cell, width // cell), -1, np.int8)
    middles_x, middles_y = (np.arange(n // cell) * cell + cell / 2 for n in (width, height))
    for index, i in enumerate(items):
        scale_x, scale_y = width / view.width, height / view.height
        x, y = (i.x - view.x) * scale_x, (i.y - view.y) * scale_y
        if 0 <= x < width and 0 <= y < height:
            box[np.ix_(np.abs(middles_y - y) <= max(i.radius * scale_y, cell / 2),
                       np.abs(middles_x - x) <= max(i.radius * scale_x, cell / 2))] = index
            centre[int(y) // cell, int(x) // cell] = index
    return centre, box


def patch_classes(items, view):
    """(rows, columns, 3) int8: shape, colour and label number of the item that covers a patch, -1 where there is
    none.  The label is named at the central patch only, and not where the view is a reduced one: it is not legible
    there."""
    centre, box = item_maps(items, view)
    reduced = (view.width, view.height) != (view.columns * PATCH, view.rows * PATCH)
    numbers = np.array([(SHAPES.index(i.shape), COLOUR_NAMES.index(i.colour), LABELS.index(i.label)) for i in items]
                       + [(-1, -1, -1)], np.int8)
    return np.dstack([numbers[box, :2], np.full_like(box, -1) if reduced else numbers[centre, 2]])


def _font(size):
    if size not in _fonts:
        _fonts[size] = ImageFont.truetype(FONT, size)
    return _fonts[size]


def _muted(rng):
    colour = np.array([rng.randint(70, 200) for _ in range(3)], np.float32)
    return colour * 0.5 + colour.mean() * 0.5


def _background(rng, width, height):
    noise = np.random.default_rng(rng.getrandbits(32))
    base = _muted(rng)
    kind = rng.choice(["flat", "gradient", "noise", "texture"])
    if kind == "flat":
        pixels = np.broadcast_to(base, (height, width, 3))
    elif kind == "gradient":
        other = _muted(rng)
        if rng.random() < 0.5:
            ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        else:
            ramp = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
        pixels = np.broadcast_to(base + (other - base) * ramp, (height, width, 3))
    elif kind == "noise":
        blocks = noise.integers(-14, 15, (height // 4, width // 4, 3)).astype(np.float32)
        pixels = base + blocks.repeat(4, 0).repeat(4, 1)
    else:
        down, across = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
        waves = 8 * np.sin(down * rng.uniform(0.05, 0.4))[:, None]
        waves = waves + 8 * np.sin(across * rng.uniform(0.05, 0.4))[None, :]
        pixels = base + waves[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _outline(item):
    x, y, r = item.x, item.y, item.radius
    if item.shape == "square":
        q = 0.86 * r
        return [(x - q, y - q), (x + q, y - q), (x + q, y + q), (x - q, y + q)]
    if item.shape == "triangle":
        return [(x, y - r), (x + r, y + 0.85 * r), (x - r, y + 0.85 * r)]
    if item.shape == "diamond":
        return [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
    if item.shape == "star":
        corners = ((0.52 * r if n % 2 else r, -math.pi / 2 + n * math.pi / 5) for n in range(10))
        return [(x + q * math.cos(angle), y + q * math.sin(angle)) for q, angle in corners]
    q = 0.42 * r                # cross
    return [(x - q, y - r), (x + q, y - r), (x + q, y - q), (x + r, y - q), (x + r, y + q), (x + q, y + q),
            (x + q, y + r), (x - q, y + r), (x - q, y + q), (x - r, y + q), (x - r, y - q), (x - q, y - q)]
