"""One training phase of one model."""
import math
import os
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F

import optimizers
import packing
import tokenizer
from vision import patches

PATCH_WEIGHT = 0.3              # of the patch classifier's loss while the language model trains
LOG_EVERY = 20                  # steps
SAVE_EVERY = 180                # seconds


@dataclass(frozen=True)
class Phase:
    """What one phase trains, and for how long."""
    name: str
    steps: int
    batch: int                          # pictures that go through the model at once
    lr: float                           # peak: warm-up over the first tenth (at most 100 steps), then cosine ...
    lr_end: float = 0.02                # ... to this share of the peak
    accumulate: int = 1                 # batches per step
    text: bool = True                   # False: the vision encoder alone, by its patch classifier
    attention: float = 0.0              # weight of the attention loss at the start ...
    attention_until: float = math.inf   # ... which fades to 0 at this share of the phase; inf: constant
    region: str = "centre"              # the patches it pulls attention to: "centre" or "box" of the item
    large: float = 0.0                  # share of batches with pictures of several tiles
    counting: float = 1.0               # times the usual share of counting questions
    conversation: float = 0.0           # share of pictures whose turns follow each other
    blend: float = 1.0                  # the result: so much of the new weights, the rest those before the phase
    token_dropout: float = 0.0          # share of pictures that lose visual tokens; for batches of one picture


def run(model, phase, seed, device, save=None):
    """Train a model in place; losses are printed as running means.  `save` is called every few minutes."""
    torch.manual_seed(seed)
    bf16 = bf16_is_fast(device)
    if not phase.text and model.family.name == "internvl":
        whiten_patches(model, seed)
    model.to(device).train()
    stepping = optimizers.make(model, phase.lr, phase.text)
    groups = [group for optimizer in stepping for group in optimizer.param_groups]
    trained = [p for group in groups for p in group["params"]]
    workers = min(8, (os.cpu_count() or 1) - 1) if torch.get_num_threads() > 1 else 0
    data = packing.Batches(model.family, seed, phase.batch, phase.text, phase.large, phase.token_dropout, phase.region,
                           phase.counting, phase.conversation)
    batches = iter(torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers,
                                               prefetch_factor=4 if workers else None))
    means, start = {}, time.monotonic()
    saved = start
    for step in range(phase.steps):
        progress = step / phase.steps
        rate = phase.lr * min(1, (step + 1) / min(100, max(1, phase.steps // 10)))
        rate *= phase.lr_end + (1 - phase.lr_end) * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in groups:
            group["lr"] = rate
        for _ in range(phase.accumulate):
            batch = {key: value.to(device, non_blocking=True) for key, value in next(batches).items()}
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                loss, parts = losses(model, batch, phase, progress)
            (loss / phase.accumulate).backward()
            weight = 0.05 / phase.accumulate
            for key, value in parts.items():
                if value == value:              # not a mean of nothing
                    means[key] = (1 - weight) * means.get(key, value.detach()) + weight * value.detach()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer in stepping:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        now = time.monotonic()
        if (step + 1) % LOG_EVERY == 0 or step + 1 == phase.steps:
            shown = "  ".join(f"{key} {float(value):.4f}" for key, value in means.items())
            print(f"{model.config.name} {phase.name}  step {step + 1}/{phase.steps}  {shown}  "
                  f"{(now - start) / (step + 1):.2f} s/step", flush=True)
        if save and now - saved > SAVE_EVERY:
            saved = now
            save(model)
    model.cpu()


def losses(model, batch, phase, progress):
    """The loss of a batch, and its parts by name; "large" marks those of pictures of several tiles."""
    features = see(model, batch["pixels"])
    patch_loss, label_accuracy = model.aux(features.flatten(0, -2), batch["classes"].flatten(0, -2))
    mark = "large " if phase.large and batch["pixels"][0].numel() > 448 * 448 * 3 else ""
    parts = {mark + "patch": patch_loss, mark + "read": label_accuracy}
    if not phase.text:
        return patch_loss, parts
    before = torch.tensor(tokenizer.ids(model.family.before, model.family), device=features.device)
    bias = packing.attention_bias(batch["turn"], len(before) + batch["kept"].shape[1])
    weight = phase.attention * max(0.0, 1 - progress / phase.attention_until)
    subjects = None
    if weight > 0 and (batch["subject"] >= 0).any():
        b, t = (batch["subject"] >= 0).nonzero(as_tuple=True)
        subjects = b, t, batch["region"][b] == batch["subject"][b, t][:, None]
    visual = model.proj(features.flatten(0, 1)).unflatten(0, features.shape[:2]).flatten(1, 2)
    visual = visual.gather(1, batch["kept"][..., None].expand(-1, -1, visual.shape[-1]))
    logits = model(visual, batch["place"], before, batch["ids"], batch["positions"] + len(before), bias, subjects)
    loss = PATCH_WEIGHT * patch_loss
    if subjects is not None:
        logits, parts[mark + "attention"] = logits
        loss = loss + weight * parts[mark + "attention"]
    asked = batch["gold"] >= 0
    if not asked.any():
        return loss, parts
    logits, gold = logits[asked].float(), batch["gold"][asked]
    parts[mark + "language"] = F.cross_entropy(logits, gold)
    parts[mark + "token_accuracy"] = (logits.argmax(-1) == gold).float().mean()
    return loss + parts[mark + "language"], parts


def see(model, pixels):
    """(B, views, H, W, 3) -> (B, views, rows, columns, v_dim).  Where there are several views, gradients flow
    through the last one alone, the overview: the encoder knows tiles from pictures that are one."""
    if pixels.shape[1] == 1:
        return model.vision(pixels[:, 0])[:, None]
    with torch.no_grad():
        tiles = model.vision(pixels[:, :-1].flatten(0, 1)).unflatten(0, (len(pixels), -1))
    return torch.cat([tiles, model.vision(pixels[:, -1])[:, None]], 1)


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
    for batch, _ in zip(packing.Batches(model.family, seed + 500_000, 1, text=False), range(n_scenes)):
        covered = batch["classes"][0, 0, ..., 0] >= 0
        covered |= torch.rand(covered.shape) < 0.05         # and a little background
        rows.append(patches(batch["pixels"][0])[0, covered])
    x = torch.cat(rows)
    mean = x.mean(0)
    _, s, v = torch.svd_lowrank(x - mean, q=model.config.v_dim, niter=3)
    deviation = s / math.sqrt(len(x))
    weight = scale * v.T / (deviation[:, None] + 0.02 * deviation[0])
    model.vision.patch.weight.copy_(weight)
    model.vision.patch.bias.copy_(-weight @ mean)
