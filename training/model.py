"""A small vision-language model, tensor by tensor what llama.cpp's graphs compute.

  internvl   `clip_graph_internvl` and `llama_model_qwen2`
  qwen2vl    `clip_graph_qwen2vl` and `llama_model_qwen2vl`

The vision encoders are in `vision.py`.  The language model: RMSNorm, biased q/k/v, half-split rotary positions,
grouped queries, SwiGLU.  With `qwen2vl` each pair of rotated channels takes one of a token's three positions
(time, row, column); with `qwen2` all three are the same.
"""
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

import scenes
import vision
from families import FAMILIES


@dataclass
class Config:
    """Sizes of one model; `v_` is the vision encoder."""
    name: str
    v_dim: int
    v_layers: int
    v_heads: int
    v_ff: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    ff: int
    vocab: int = 482
    rope_base: float = 10000.0
    rms_eps: float = 1e-6
    ln_eps: float = 1e-6
    family: str = "internvl"
    sections: tuple = (32, 0, 0)        # rotated channel pairs that take the time, row and column position

    @property
    def head_dim(self):
        return self.dim // self.heads


# Heads are 64 wide: bf16 attention by plain matrix products is slow on a CPU when they are narrower.
GUIDE = dict(v_dim=128, v_layers=4, v_heads=2, v_ff=512, dim=192, layers=4, heads=3, kv_heads=1, ff=512)
TARGET = dict(v_dim=256, v_layers=5, v_heads=4, v_ff=768, dim=256, layers=6, heads=4, kv_heads=2, ff=768)
CONFIGS = {
    "guide": Config("guide", **GUIDE),
    "target": Config("target", **TARGET),
    "guide-qwen2vl": Config("guide-qwen2vl", **GUIDE, vocab=406, family="qwen2vl", sections=(8, 12, 12)),
}


class Model(nn.Module):
    """Both halves, and the patch classifier that only training uses."""

    def __init__(self, config):
        super().__init__()
        self.config, self.family = config, FAMILIES[config.family]
        encoder, projector = vision.PARTS[config.family]
        self.vision = encoder(config)
        self.proj = projector(config)
        self.aux = PatchClassifier(config)
        self.embed = nn.Embedding(config.vocab, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.dim, config.rms_eps)
        self.head = nn.Linear(config.dim, config.vocab, bias=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self):
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=min(0.04, module.in_features ** -0.5))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.5)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "o.weight", "down.weight")):    # what adds to the residual stream
                layers = self.config.v_layers if name.startswith("vision") else self.config.layers
                weight.div_(math.sqrt(2 * layers))

    def forward(self, visual, place, before, text, positions, bias, subjects=None):
        """Logits of the packed text of a batch, (B, T, vocab).

        visual (B, V, dim): projected visual tokens; place (B, 3, V): their positions, counted from the first;
        before (N,): token ids ahead of them; text, positions (B, T): token ids after them, and their positions;
        bias (B, 1, T, N + V + T): added to the attention scores of the text.
        subjects: optional (b, t, region) for R text positions (b, t) that are about one item, region (R, V)
        bool being its visual tokens.  Then also returns the attention loss: minus the log of the attention
        that the two middle layers, mean over heads, give to that region.
        """
        batch, n_before = len(visual), len(before)
        image, tail = slice(n_before, n_before + visual.shape[1]), n_before + visual.shape[1]
        x = torch.cat([self.embed(before).expand(batch, -1, -1), visual.float(), self.embed(text)], 1)
        first = torch.arange(n_before, device=x.device).expand(batch, 3, -1)
        rotation = self.rotation(torch.cat([first, n_before + place, positions[:, None].expand(-1, 3, -1)], 2))
        middle = len(self.blocks) // 2
        mass = []
        for layer, block in enumerate(self.blocks):
            q, k, v = block.qkv(x, rotation)
            parts = []
            if layer < len(self.blocks) - 1:            # the last layer is only read at the text
                lead = (y[:, :, :tail] for y in (q, k, v))
                parts.append(F.scaled_dot_product_attention(*lead, is_causal=True))
            attended, attention = attend(q[:, :, tail:], k, v, bias)
            attended = torch.cat(parts + [attended], 2)
            x = block.add(x[:, -attended.shape[2]:], attended)
            if subjects is not None and layer in (middle - 1, middle):
                b, t, region = subjects
                mass.append((attention[b, :, t, image].float() * region[:, None]).sum(-1))
        logits = self.head(self.norm(x))
        if subjects is None:
            return logits
        return logits, -torch.log(torch.cat(mass, 1).mean(1) + 1e-4).mean()

    def rotation(self, positions):
        """(B, 3, T) -> cos, sin, each (B, 1, T, head_dim / 2)"""
        half = torch.arange(0, self.config.head_dim, 2, dtype=torch.float32, device=positions.device)
        which = torch.arange(3, device=positions.device).repeat_interleave(
            torch.tensor(self.config.sections, device=positions.device))
        angles = positions.float()[:, which].transpose(1, 2) * self.config.rope_base ** (-half / self.config.head_dim)
        return angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)


class PatchClassifier(nn.Module):
    """Training only: which shape, colour and label does each patch show?"""

    def __init__(self, c):
        super().__init__()
        self.sizes = [len(scenes.SHAPES) + 1, len(scenes.COLOURS), len(scenes.LABELS)]
        self.norm = nn.LayerNorm(c.v_dim)
        self.fc = nn.Linear(c.v_dim, sum(self.sizes))

    def forward(self, features, classes):
        """features (N, v_dim), classes (N, 3), -1 for nothing -> loss, share of label patches read right"""
        shape, colour, label = self.fc(self.norm(features)).float().split(self.sizes, -1)
        gold = classes.long()
        covered, labelled = gold[:, 0] >= 0, gold[:, 2] >= 0
        loss = (F.cross_entropy(shape, gold[:, 0] + 1) + F.cross_entropy(colour[covered], gold[covered, 1])
                + F.cross_entropy(label[labelled], gold[labelled, 2]))
        return loss, (label[labelled].argmax(-1) == gold[labelled, 2]).float().mean()


class Block(nn.Module):
    """A layer of the language model, in two halves around the attention."""

    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c.heads, c.kv_heads, c.head_dim
        self.attn_norm = RMSNorm(c.dim, c.rms_eps)
        self.q = nn.Linear(c.dim, c.heads * c.head_dim)
        self.k = nn.Linear(c.dim, c.kv_heads * c.head_dim)
        self.v = nn.Linear(c.dim, c.kv_heads * c.head_dim)
        self.o = nn.Linear(c.heads * c.head_dim, c.dim, bias=False)
        self.ffn_norm = RMSNorm(c.dim, c.rms_eps)
        self.gate = nn.Linear(c.dim, c.ff, bias=False)
        self.up = nn.Linear(c.dim, c.ff, bias=False)
        self.down = nn.Linear(c.ff, c.dim, bias=False)

    def qkv(self, x, rotation):
        """Rotated queries and keys, and values, all for every query head: (B, H, T, head_dim)"""
        h = self.attn_norm(x)
        q = vision.rotate(self._split(self.q(h), self.heads), *rotation)
        k = vision.rotate(self._split(self.k(h), self.kv_heads), *rotation)
        v = self._split(self.v(h), self.kv_heads)
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, 1) for y in (k, v))
        return q, k, v

    def add(self, x, attended):
        """The layer's output from its input and the attended values (B, H, T, head_dim)"""
        x = x + self.o(attended.transpose(1, 2).flatten(2))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))

    def _split(self, y, heads):
        return y.unflatten(-1, (heads, self.head_dim)).transpose(1, 2)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def attend(q, k, v, bias):
    """Attention in the number type of q (bf16 under autocast), and its probabilities."""
    with torch.autocast(q.device.type, enabled=False):
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias.to(q.dtype)
        probabilities = scores.softmax(-1)
        return probabilities @ v, probabilities


def save(model, path):
    torch.save(dict(config=asdict(model.config), state=model.state_dict()), path)


def load(path):
    """The model of a checkpoint file, on the CPU."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    config = Config(**checkpoint["config"])
    config.name = {"small": "guide", "large": "target"}.get(config.name, config.name)   # first checkpoints' names
    model = Model(config)
    model.load_state_dict(checkpoint["state"])
    return model
