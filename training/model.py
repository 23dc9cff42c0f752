"""A small vision-language model in the shape of two graphs that llama.cpp has.

  vision    `clip_graph_internvl`: patch projection, learned positions (257 rows, the class token and its row
            LAST), pre-norm blocks with fused q|k|v and a tanh-GELU MLP, no final norm, class token dropped,
            then the projector: LayerNorm, Linear, tanh-GELU, Linear
  language  `llama_model_qwen2`: RMSNorm, biased q/k/v, half-split rotary positions, grouped queries, SwiGLU
"""
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

import scenes

VISUAL_TOKENS = scenes.GRID ** 2        # per tile


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

    @property
    def head_dim(self):
        return self.dim // self.heads


# Heads are 64 wide: bf16 attention by plain matrix products is slow on a CPU when they are narrower.
CONFIGS = {
    "guide": Config("guide", v_dim=128, v_layers=4, v_heads=2, v_ff=512, dim=192, layers=4, heads=3, kv_heads=1, ff=512),
    "target": Config("target", v_dim=256, v_layers=5, v_heads=4, v_ff=768, dim=256, layers=6, heads=4, kv_heads=2, ff=768),
}


class Model(nn.Module):
    """Both halves, and the patch classifier that only training uses."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.vision = Vision(config)
        self.proj = Projector(config)
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

    def forward(self, visual, before, text, positions, bias, subjects=None):
        """Logits of the packed text of a batch, (B, T, vocab).

        visual (B, 256, dim): projected visual tokens; before (N,): token ids ahead of them; text, positions
        (B, T): token ids after them, and their positions; bias (B, 1, S, S): added to the attention scores,
        S = N + 256 + T.
        subjects: optional (b, t, region) for R text positions (b, t) that are about one item, region (R, 256)
        bool being its visual tokens.  Then also returns the attention loss: minus the log of the attention
        that the two middle layers, mean over heads, give to that region.
        """
        batch, n_before = len(visual), len(before)
        image, tail = slice(n_before, n_before + VISUAL_TOKENS), n_before + VISUAL_TOKENS
        x = torch.cat([self.embed(before).expand(batch, -1, -1), visual.float(), self.embed(text)], 1)
        lead = torch.arange(tail, device=x.device).expand(batch, -1)
        rotation = self._rotation(torch.cat([lead, positions], 1))
        middle = len(self.blocks) // 2
        mass = []
        for layer, block in enumerate(self.blocks):
            first = tail if layer == len(self.blocks) - 1 else 0    # the last layer is only read at the text
            x, attention = block(x, rotation, bias, first)
            if subjects is not None and layer in (middle - 1, middle):
                b, t, region = subjects
                mass.append((attention[b, :, tail + t, image].float() * region[:, None]).sum(-1))
        logits = self.head(self.norm(x))
        if subjects is None:
            return logits
        return logits, -torch.log(torch.cat(mass, 1).mean(1) + 1e-4).mean()

    def _rotation(self, positions):
        """(B, T) -> cos, sin, each (B, 1, T, head_dim / 2)"""
        half = torch.arange(0, self.config.head_dim, 2, dtype=torch.float32, device=positions.device)
        angles = positions.float().unsqueeze(-1) * self.config.rope_base ** (-half / self.config.head_dim)
        return angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)


class Vision(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.patch = nn.Linear(3 * scenes.PATCH ** 2, c.v_dim)      # the convolution; input order channel, y, x
        self.cls = nn.Parameter(torch.randn(c.v_dim) * 0.02)
        self.pos = nn.Parameter(torch.randn(VISUAL_TOKENS + 1, c.v_dim) * 0.02)
        self.blocks = nn.ModuleList(VisionBlock(c) for _ in range(c.v_layers))

    def forward(self, pixels):
        """pixels uint8 (B, 448, 448, 3) -> (B, 256, v_dim)"""
        x = self.patch(patches(pixels))
        x = torch.cat([x, self.cls.expand(len(x), 1, -1).to(x.dtype)], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return x[:, :-1]


class VisionBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.v_heads
        self.ln1 = nn.LayerNorm(c.v_dim, eps=c.ln_eps)
        self.qkv = nn.Linear(c.v_dim, 3 * c.v_dim)
        self.out = nn.Linear(c.v_dim, c.v_dim)
        self.ln2 = nn.LayerNorm(c.v_dim, eps=c.ln_eps)
        self.up = nn.Linear(c.v_dim, c.v_ff)
        self.down = nn.Linear(c.v_ff, c.v_dim)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(attend(q, k, v)[0].transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Projector(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.LayerNorm(c.v_dim, eps=1e-5)         # llama.cpp fixes this epsilon
        self.fc1 = nn.Linear(c.v_dim, c.dim)
        self.fc2 = nn.Linear(c.dim, c.dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(self.norm(x)), approximate="tanh"))


class PatchClassifier(nn.Module):
    """Training only: which shape, colour and label does each patch show?"""

    def __init__(self, c):
        super().__init__()
        self.sizes = [len(scenes.SHAPES) + 1, len(scenes.COLOURS), len(scenes.LABELS)]
        self.norm = nn.LayerNorm(c.v_dim)
        self.fc = nn.Linear(c.v_dim, sum(self.sizes))

    def forward(self, features, classes):
        """classes (B, 256, 3), -1 for nothing -> loss, share of label patches read right"""
        shape, colour, label = self.fc(self.norm(features)).float().flatten(0, 1).split(self.sizes, -1)
        gold = classes.flatten(0, 1).long()
        covered, labelled = gold[:, 0] >= 0, gold[:, 2] >= 0
        loss = (F.cross_entropy(shape, gold[:, 0] + 1) + F.cross_entropy(colour[covered], gold[covered, 1])
                + F.cross_entropy(label[labelled], gold[labelled, 2]))
        return loss, (label[labelled].argmax(-1) == gold[labelled, 2]).float().mean()


class Block(nn.Module):
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

    def forward(self, x, rotation, bias, first):
        """Positions from `first` on, which attend to all: (B, T - first, dim), attention (B, H, T - first, T)"""
        h, (cos, sin) = self.attn_norm(x), rotation
        x, later = x[:, first:], h[:, first:]
        q = rotate(self._split(self.q(later), self.heads), cos[..., first:, :], sin[..., first:, :])
        k = rotate(self._split(self.k(h), self.kv_heads), cos, sin)
        v = self._split(self.v(h), self.kv_heads)
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, 1) for y in (k, v))
        a, attention = attend(q, k, v, bias[..., first:, :])
        x = x + self.o(a.transpose(1, 2).flatten(2))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h)), attention

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


def patches(pixels):
    """uint8 (B, 448, 448, 3) -> (B, 256, 3 * 28 * 28), scaled to -1..1, each patch in order channel, y, x"""
    g, p = scenes.GRID, scenes.PATCH
    x = pixels.float() / 127.5 - 1
    return x.view(-1, g, p, g, p, 3).permute(0, 1, 3, 5, 2, 4).reshape(-1, g * g, 3 * p * p)


def attend(q, k, v, bias=None):
    """Attention in the number type of q (bf16 under autocast), and its probabilities."""
    with torch.autocast(q.device.type, enabled=False):
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if bias is not None:
            scores = scores + bias.to(q.dtype)
        probabilities = scores.softmax(-1)
        return probabilities @ v, probabilities


def rotate(x, cos, sin):
    """Rotary positions on (first half, second half) pairs; x (B, H, T, head_dim)"""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


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
