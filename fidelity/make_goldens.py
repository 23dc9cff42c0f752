"""Random models, their GGUF files, and what `transformers` computes with them: `python make_goldens.py`.

Writes `<family>/{guide,target,mmproj}.gguf`, the pictures and `<family>/goldens.json`. A guide whose answers or rankings
are too close to a tie to be compared is passed over for the next seed. `internvl` uses the text models of `llava`.
"""
import itertools
import json
import pathlib

import numpy as np
import torch
from PIL import Image
from transformers import logging

import export
import networks
import sgl

HERE = pathlib.Path(__file__).parent
SHARES = [0.5, 0.25, 0.1, 0.05]  # retention
CONSISTENCY_SHARE = 0.05
# Width and height of each family's pictures: sizes that neither side resamples.
PICTURES = {"llava": [(64, 64)] * 2, "internvl": [(128, 128)] * 2, "qwen2_vl": [(160, 112), (96, 128), (64, 80)]}
LONG, SHORT = 24, 7  # most tokens of an answer that ends itself, and of one that is cut
CASES = {
    "llava": [([0], "What is the shape?", LONG), ([1, 0], "Which is there?", SHORT)],
    "internvl": [([0], "What is the shape?", SHORT), ([1, 0], "Which is the colour?", SHORT)],
    "qwen2_vl": [([0], "What is the shape?", LONG), ([1, 2], "Which is there?", SHORT)],
}


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.set_verbosity_error()
    for group in ([networks.Llava(), networks.InternVl()], [networks.Qwen2Vl()]):  # families with the same text models
        for seed in itertools.count(3):
            made = []
            for family in group:
                guide = family.build(text_seed=seed, n_layer=3)
                target = family.build(text_seed=2, n_layer=2)
                if made:
                    guide.lm_head.load_state_dict(made[0][1].lm_head.state_dict())
                else:
                    name_the_end(family, guide)
                made.append((family, guide, target, compute(family, guide, target)))
                if made[-1][-1] is None:
                    break
            else:
                break
        for family, guide, target, cases in made:
            print(f"{family.name}: seed {seed}, answers {[case['answer'] for case in cases]}")
            write(family, guide, target, cases, with_text=family is group[0])


def write(family, guide, target, cases, with_text):
    out = HERE / family.name
    out.mkdir(exist_ok=True)
    if with_text:
        export.export_text(family, guide, out / "guide.gguf")
        export.export_text(family, target, out / "target.gguf")
    export.EXPORT_VISION[family.name](guide, out / "mmproj.gguf")
    for number, picture in enumerate(pictures(family)):
        picture.save(out / f"{number}.png")
    (out / "goldens.json").write_text(json.dumps({"cases": cases}) + "\n")


def name_the_end(family, guide):
    """Lets the eighth token of the first answer be the end token, which a random model would hardly say."""
    (numbers, question, _), drawn = CASES[family.name][0], pictures(family)
    inputs = family.inputs([drawn[number] for number in numbers], question)
    answer = guide.generate(**inputs, max_new_tokens=8, min_new_tokens=8, do_sample=False)[0]
    pair = [answer[-1].item(), family.id(networks.END)]
    rows = guide.lm_head.weight.data
    rows[pair] = rows[pair[::-1]]


def compute(family, guide, target):
    """All cases of a family, or `None` if one of them cannot be compared well."""
    drawn, cases = pictures(family), []
    for numbers, question, n_predict in CASES[family.name]:
        inputs = family.inputs([drawn[number] for number in numbers], question)
        case = answer(family, guide, inputs, n_predict)
        if case is None or (len(case["answer"]) < n_predict) != (n_predict == LONG):
            return None
        cases.append({"pictures": [f"{number}.png" for number in numbers], "question": question,
                      "n_predict": n_predict, **case, "target": read(family, target, inputs, case["kept"])})
    return cases


def pictures(family):
    return [draw(*size, seed) for seed, size in enumerate(PICTURES[family.name])]


def draw(width, height, seed):
    """A few flat rectangles on noise, so that visual tokens differ."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    for _ in range(4):
        x, y = random.integers(0, width - 16), random.integers(0, height - 16)
        pixels[y:y + random.integers(12, 32), x:x + random.integers(12, 32)] = random.integers(0, 256, 3)
    return Image.fromarray(pixels)


def answer(family, model, inputs, n_predict):
    """The guide's greedy answer and the quantities of SGL, or `None` if some choice in it is close to a tie."""
    prompt, visual = inputs["input_ids"], family.visual(inputs)
    output = model.generate(**inputs, max_new_tokens=n_predict, do_sample=False, return_dict_in_generate=True,
                            output_attentions=True, output_logits=True)
    tokens = output.sequences[0, prompt.shape[1]:].tolist()
    logits = torch.cat(output.logits)
    best = logits.topk(2).values
    if len(tokens) < 5 or len(set(tokens)) < 4 or (best[:, 0] - best[:, 1]).min() < 0.05:
        return None
    mass = sgl.importance(output.attentions, visual)
    scores = mass.sum(dim=0)
    kept = {str(share): sgl.kept(scores, share) for share in SHARES}
    falling = scores.sort(descending=True).values
    if any(falling[len(rows) - 1] / falling[len(rows)] < 1.01 for rows in kept.values()):
        return None
    rows, _ = family.embeddings(model, inputs)
    log_probabilities = sgl.log_probabilities(logits, tokens)
    forced = forward(family, model, inputs, kept[str(CONSISTENCY_SHARE)], tokens[:-1])[-len(tokens):]
    scored = sgl.log_probabilities(forced, tokens)
    positions = family.positions(model, inputs).view(-1, prompt.shape[1])  # one or three rows
    return {
        "prompt": [None if token == family.id(networks.PAD) else token for token in prompt[0].tolist()],
        "positions": [position + [0] * (3 - len(position)) for position in positions[:, visual].T.tolist()],
        "embeddings": rounded(rows),
        "answer": tokens,
        "text": family.tokenizer.decode(tokens),
        "log_probabilities": rounded(log_probabilities),
        "confidence": sgl.confidence(log_probabilities),
        "consistency": {"share": CONSISTENCY_SHARE, "log_probabilities": rounded(scored),
                        "product": sgl.consistency(scored)},
        "importance": rounded(mass),
        "kept": kept,
    }


def read(family, model, inputs, kept):
    """The target's logits after the prompt, by retention."""
    kept = {"1": list(range(len(family.visual(inputs))))} | kept
    logits = {share: forward(family, model, inputs, rows, [])[-1] for share, rows in kept.items()}
    whole = model(**inputs).logits[0, -1]
    assert (logits["1"] - whole).abs().max() < 1e-4, "the embedding path must equal the model's own"
    return {share: rounded(row) for share, row in logits.items()}


def forward(family, model, inputs, kept, tail):
    """Logits of a prompt whose other visual tokens are removed, all positions unchanged, followed by `tail`."""
    visual = family.visual(inputs)
    dropped = {place for index, place in enumerate(visual) if index not in set(kept)}
    places = [place for place in range(inputs["input_ids"].shape[1]) if place not in dropped]
    _, prompt = family.embeddings(model, inputs)
    positions = family.positions(model, inputs)
    following = positions.max() + 1 + torch.arange(len(tail))
    tail = model.get_input_embeddings()(torch.tensor([tail], dtype=torch.long))
    embeddings = torch.cat([prompt[:, places], tail], dim=1)
    positions = torch.cat([positions[..., places], following.expand(*positions.shape[:-1], -1)], dim=-1)
    # Without a mask, a jump in the positions would be read as the start of another packed sequence.
    mask = torch.ones(embeddings.shape[:2], dtype=torch.long)
    return model(inputs_embeds=embeddings, position_ids=positions, attention_mask=mask).logits[0]


def rounded(tensor):
    """Numbers for JSON, to as many digits as F32 has."""
    return json.loads(json.dumps(tensor.tolist()), parse_float=lambda text: float(f"{float(text):.8g}"))


if __name__ == "__main__":
    main()
