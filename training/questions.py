"""Questions about a scene with their gold answers, and the chat text that carries them."""
import random
from typing import NamedTuple

from scenes import COLOUR_NAMES, SHAPES, make_scene

WORDINGS = {
    "label": ["What is the label on the {colour} {shape}?", "Which character is on the {colour} {shape}?",
              "Read the label of the {colour} {shape}.", "What does the {colour} {shape} say?"],
    "colour": ["What colour is the shape labelled {label}?", "What color is the object with label {label}?",
               "Tell me the colour of the shape labelled {label}."],
    "shape": ["What shape is labelled {label}?", "Which shape carries the label {label}?",
              "Tell me the shape with label {label}."],
    "exist": ["Is there {article} {colour} {shape}?", "Can you see {article} {colour} {shape}?",
              "Does the image contain {article} {colour} {shape}?"],
    "count_shape": ["How many {plural} are there?", "Count the {plural}."],
    "count_colour": ["How many {colour} shapes are there?", "Count the {colour} objects."],
    "list": ["List every object.", "List all the objects with their labels."],
}
TRAINING_MIX = {"label": 3, "colour": 4, "shape": 4, "exist": 1.5, "count_shape": 1, "count_colour": 0.7}
ONE_WORD = [kind for kind in WORDINGS if kind != "list"]     # kinds with a one-word answer
LIST_SHARE = 0.4                # share of training pictures that also get a "list" question

END = "<|im_end|>"
NEXT_TURN = "\n<|im_start|>user\n"        # between an answer and the next question


class Question(NamedTuple):
    """`subject` is the index of the one item the question is about, -1 where there is no such item; `needs` are the
    indices of all items that must be seen for the answer to be right."""
    kind: str
    text: str
    answer: str
    subject: int = -1
    needs: tuple = ()


def turn(text):
    """Chat text from the question to where the answer starts."""
    return f"{text}{END}\n<|im_start|>assistant\n"


def ask(kind, items, rng):
    """A random question of one kind about a scene."""
    wording = rng.choice(WORDINGS[kind])
    if kind in ("label", "colour", "shape"):
        item = rng.choice(items)
        index = items.index(item)
        return Question(kind, wording.format(**item._asdict()), getattr(item, kind), index, (index,))
    if kind == "exist":
        return _ask_exist(wording, items, rng)
    if kind == "count_shape":
        shape = rng.choice(SHAPES)
        plural = shape + ("es" if shape == "cross" else "s")
        return _count(kind, wording.format(plural=plural), [i.shape == shape for i in items])
    if kind == "count_colour":
        colour = rng.choice(COLOUR_NAMES)
        return _count(kind, wording.format(colour=colour), [i.colour == colour for i in items])
    answer = ", ".join(f"{i.colour} {i.shape} {i.label}" for i in items)
    return Question(kind, wording, answer, needs=tuple(range(len(items))))


def sample(items, rng, counting=1.0):
    """A random question with a one-word answer, its kind drawn from the training mix with so many times the counts."""
    weights = [weight * (counting if kind.startswith("count") else 1) for kind, weight in TRAINING_MIX.items()]
    return ask(rng.choices(list(TRAINING_MIX), weights)[0], items, rng)


def corpus(scenes=4000, seed=1):
    """Text that the tokenizer is trained on."""
    rng = random.Random(seed)
    for _ in range(scenes):
        items = make_scene(rng)
        for kind in WORDINGS:
            question = ask(kind, items, rng)
            yield from ("user\n", question.text, "assistant\n", question.answer,
                        "system\nYou are a helpful assistant.")


def _count(kind, text, counted):
    return Question(kind, text, str(sum(counted)), needs=tuple(n for n, one in enumerate(counted) if one))


def _ask_exist(wording, items, rng):
    """Half the answers are yes; a "no" recombines a colour and a shape of the scene where it can."""
    present = {(i.colour, i.shape) for i in items}
    answer = "yes" if rng.random() < 0.5 else "no"
    if answer == "yes":
        choices = sorted(present)
    else:
        colours, shapes = sorted({c for c, _ in present}), sorted({s for _, s in present})
        choices = ([(c, s) for c in colours for s in shapes if (c, s) not in present]
                   or [(c, s) for c in COLOUR_NAMES for s in SHAPES if (c, s) not in present])
    colour, shape = rng.choice(choices)
    article = "an" if colour[0] in "aeiou" else "a"
    subject = next((n for n, i in enumerate(items) if (i.colour, i.shape) == (colour, shape)), -1)
    needs = (subject,) if subject >= 0 else ()
    return Question("exist", wording.format(article=article, colour=colour, shape=shape), answer, subject, needs)
