"""One training phase of one model."""
import math
import os
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F

import optimizers
import packing
import questions
import tokenizer
from model import VISUAL_TOKENS, patches

PATCH_WEIGHT = 0.3              # of the patch classifier's loss while the language model trains
LOG_EVERY = 20                  # steps


@dataclass(frozen=True)
class Phase:
    """What one phase trains, and for how long."""
    name: str
    steps: int
    batch: int                          # pictures per step
    lr: float                           # peak: warm-up over the first tenth (at most 100 steps), then cosine to 2%
    text: bool = True                   # False: the vision encoder alone, by its patch classifier
    attention: float = 0.0              # weight of the attention loss at the start ...
    attention_until: float = math.inf   # ... which fades to 0 at this share of the phase; inf: constant
    region: str = "centre"              # the patches it pulls attention to: "centre" or "box" of the item
    token_dropout: float = 0.0          # share of pictures that lose visual tokens


def run(model, phase, seed, device):
    """Train a model in place; losses are printed as running means."""
    torch.manual_seed(seed)
    bf16 = bf16_is_fast(device)
    if not phase.text:
        whiten_patches(model, seed)
    model.to(device).train()
    stepping = optimizers.make(model, phase.lr, phase.text)
    groups = [group for optimizer in stepping for group in optimizer.param_groups]
    trained = [p for group in groups for p in group["params"]]
    workers = max(1, min(8, (os.cpu_count() or 2) - 1))
    data = packing.Batches(seed, phase.batch, phase.text, phase.token_dropout, phase.region)
    batches = iter(torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=4))
    means, start = {}, time.monotonic()
    for step in range(phase.steps):
        progress = step / phase.steps
        rate = phase.lr * min(1, (step + 1) / min(100, max(1, phase.steps // 10)))
        rate *= 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in groups:
            group["lr"] = rate
        batch = {key: value.to(device, non_blocking=True) for key, value in next(batches).items()}
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            loss, parts = losses(model, batch, phase, progress)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer in stepping:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for key, value in parts.items():
            means[key] = 0.95 * means.get(key, value.detach()) + 0.05 * value.detach()
        if (step + 1) % LOG_EVERY == 0 or step + 1 == phase.steps:
            shown = "  ".join(f"{key} {float(value):.4f}" for key, value in means.items())
            print(f"{model.config.name} {phase.name}  step {step + 1}/{phase.steps}  {shown}  "
                  f"{(time.monotonic() - start) / (step + 1):.2f} s/step", flush=True)
    model.cpu()


def losses(model, batch, phase, progress):
    """The loss of a batch, and its parts by name."""
    features = model.vision(batch["pixels"])
    patch_loss, label_accuracy = model.aux(features, batch["classes"])
    parts = dict(patch=patch_loss, label_accuracy=label_accuracy)
    if not phase.text:
        return patch_loss, parts
    before = torch.tensor(tokenizer.ids(questions.BEFORE_IMAGE), device=features.device)
    bias = packing.attention_bias(batch["turn"], batch["visible"], len(before))
    positions = batch["positions"] + len(before) + VISUAL_TOKENS
    weight = phase.attention * max(0.0, 1 - progress / phase.attention_until)
    subjects = None
    if weight > 0:
        b, t = (batch["subject"] >= 0).nonzero(as_tuple=True)
        subjects = b, t, batch["region"][b] == batch["subject"][b, t][:, None]
    logits = model(model.proj(features), before, batch["ids"], positions, bias, subjects)
    loss = PATCH_WEIGHT * patch_loss
    if subjects is not None:
        logits, parts["attention"] = logits
        loss = loss + weight * parts["attention"]
    asked = batch["gold"] >= 0
    logits, gold = logits[asked].float(), batch["gold"][asked]
    parts["language"] = F.cross_entropy(logits, gold)
    parts["token_accuracy"] = (logits.argmax(-1) == gold).float().mean()
    return loss + parts["language"], parts


def bf16_is_fast(device):
    """Whether to compute in bf16.  CPUs without instructions for it emulate it many times slower: measure."""
    if device.type == "cuda":
        return True
    seconds = []
    for number_type in (torch.float32, torch.bfloat16):
        x = torch.ones(512, 512, dtype=number_type)
        (x @ x).sum().item()
        start = time.perf_counter()
        (x @ x).sum().item()
        seconds.append(time.perf_counter() - start)
    return seconds[1] < seconds[0]


@torch.no_grad()
def whiten_patches(model, seed, n_scenes=150, scale=0.5):
    """Initialise the patch projection with a PCA whitening of item patches: raw patches are dominated by flat
    colour, whitened ones put the strokes of a label on the same footing."""
    rows = []
    for batch, _ in zip(packing.Batches(seed + 500_000, 1, text=False), range(n_scenes)):
        covered = batch["classes"][0, :, 0] >= 0
        covered |= torch.rand(VISUAL_TOKENS) < 0.05         # and a little background
        rows.append(patches(batch["pixels"])[0, covered])
    x = torch.cat(rows)
    mean = x.mean(0)
    _, s, v = torch.svd_lowrank(x - mean, q=model.config.v_dim, niter=3)
    deviation = s / math.sqrt(len(x))
    weight = scale * v.T / (deviation[:, None] + 0.02 * deviation[0])
    model.vision.patch.weight.copy_(weight)
    model.vision.patch.bias.copy_(-weight @ mean)
