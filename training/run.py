"""Train the demo models and export them: guide and target from nothing, the second guide from the first.

    python run.py                   # all three, into build/; an interrupted run continues where it stopped
    python run.py --quick           # every phase for three steps, into build/quick: a smoke test
    python run.py --only guide      # one model
"""
import argparse
import dataclasses
import pathlib
import shutil

import torch

import export
import model as network
import train
import warm_start
from train import Phase

HERE = pathlib.Path(__file__).parent
# Plus a million per phase; scenes count up from there.
SEEDS = {"guide": 100_000_000, "target": 200_000_000, "guide-qwen2vl": 300_000_000}
RECIPE = {
    "guide": [
        Phase("vision", 587, 16, 2e-3, text=False),
        Phase("chat", 400, 12, 1.5e-3),
        Phase("look-at-item", 200, 12, 1.5e-3, attention=0.5, region="box"),
        Phase("look-at-label", 300, 12, 1.5e-3, attention=0.5),
        Phase("let-go", 300, 8, 1.5e-3, attention=0.5, attention_until=1.0),
        Phase("alone", 41, 8, 9e-4),
        Phase("tiles", 68, 1, 1e-3, lr_end=0.9, accumulate=8, attention=0.3, attention_until=2.2, large=0.65,
              token_dropout=0.6),
        Phase("tiles-let-go", 261, 1, 1e-3, accumulate=4, attention=0.3, attention_until=0.6, large=0.65,
              token_dropout=0.7),
        Phase("conversation", 260, 1, 8e-4, accumulate=4, large=0.4, token_dropout=0.6, conversation=0.6),
    ],
    "target": [
        Phase("vision", 423, 16, 1.5e-3, text=False),
        Phase("chat", 200, 12, 1.5e-3),
        Phase("look-at-item", 100, 12, 1.5e-3, attention=0.5, region="box"),
        Phase("look-at-label", 200, 8, 1.5e-3, attention=0.5),
        Phase("let-go", 900, 8, 1.5e-3, attention=0.5, attention_until=0.5),
        Phase("token-dropout", 355, 1, 9e-4, accumulate=8, token_dropout=0.75),
        Phase("tiles", 33, 1, 8e-4, lr_end=1.0, accumulate=8, large=0.6, token_dropout=0.8),
        Phase("tiles-pruned", 43, 1, 7e-4, lr_end=0.9, accumulate=4, large=0.65, token_dropout=0.85),
        Phase("tiles-let-go", 475, 1, 7e-4, lr_end=0.04, accumulate=4, attention=0.3, attention_until=0.76, large=0.7,
              token_dropout=0.75),
        Phase("conversation", 110, 1, 6e-4, accumulate=4, large=0.4, token_dropout=0.6, conversation=0.6, counting=1.5,
              blend=0.6),
    ],
    "guide-qwen2vl": [
        Phase("vision", 48, 8, 1.5e-3, text=False, large=0.1),
        Phase("look-at-label", 228, 1, 1.5e-3, lr_end=0.6, accumulate=4, attention=0.5, large=0.4, token_dropout=0.3),
        Phase("look-on", 90, 1, 1e-3, lr_end=0.78, accumulate=4, attention=0.5, attention_until=1.9, large=0.45,
              token_dropout=0.5),
        Phase("let-go", 103, 1, 7e-4, accumulate=4, attention=0.3, attention_until=0.5, large=0.45, token_dropout=0.5),
    ],
}
WARM_START = {"guide-qwen2vl": ("guide", 7)}        # the model and phase whose checkpoint another one begins with


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three steps of two pictures per phase, as a smoke test")
    parser.add_argument("--only", choices=list(RECIPE), help="one model")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "build")
    parser.add_argument("--threads", type=int, help="CPU threads; default: PyTorch's choice")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    out = args.out / "quick" if args.quick else args.out
    if args.quick:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for name in [args.only] if args.only else RECIPE:
        checkpoint = train_model(name, out, device, args.quick)
        for kind in export.KINDS:
            export.export(checkpoint, out / kind, kind)


def train_model(name, out, device, quick):
    """The last checkpoint of a model, training the phases that have none yet."""
    torch.manual_seed(SEEDS[name])
    model = network.Model(network.CONFIGS[name])
    if name in WARM_START:
        warm_start.transplant(network.load(checkpoint_path(*WARM_START[name], out)), model)
    for number, phase in enumerate(RECIPE[name]):
        checkpoint = checkpoint_path(name, number, out)
        if checkpoint.exists():
            model = network.load(checkpoint)
            continue
        if quick:
            phase = dataclasses.replace(phase, steps=3, batch=min(phase.batch, 2), accumulate=min(phase.accumulate, 2))
        latest = checkpoint.with_suffix(".latest")
        before = {key: value.clone() for key, value in model.state_dict().items()}
        train.run(model, phase, SEEDS[name] + number * 1_000_000, device, lambda model: save(model, latest))
        model.load_state_dict({key: before[key].lerp(value, phase.blend) for key, value in model.state_dict().items()})
        save(model, checkpoint)
        latest.unlink(missing_ok=True)
    return checkpoint


def checkpoint_path(name, number, out):
    return out / f"{name}-{number}-{RECIPE[name][number].name}.pt"


def save(model, path):
    """Write a checkpoint whole or not at all."""
    partial = path.with_suffix(".partial")
    network.save(model, partial)
    partial.replace(path)


if __name__ == "__main__":
    main()
