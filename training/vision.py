"""The vision encoders and projectors.

  internvl   patch projection, learned positions (257 rows, the class token and its row LAST), no final norm, class
             token dropped; then LayerNorm, Linear, tanh-GELU, Linear: one visual token per patch
  qwen2vl    patch projection without bias, rotary positions (half the channels turn by row, half by column), final
             norm; then 2x2 patches side by side, Linear, tanh-GELU, Linear: one visual token per block of patches

Both have pre-norm blocks with an MLP of one hidden layer.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

import scenes


class InternVision(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.patch = nn.Linear(3 * scenes.PATCH ** 2, c.v_dim)      # the convolution; input order channel, y, x
        self.cls = nn.Parameter(torch.randn(c.v_dim) * 0.02)
        self.pos = nn.Parameter(torch.randn(scenes.GRID ** 2 + 1, c.v_dim) * 0.02)
        self.blocks = nn.ModuleList(VisionBlock(c) for _ in range(c.v_layers))

    def forward(self, pixels):
        """pixels uint8 (B, 448, 448, 3) -> (B, 16, 16, v_dim)"""
        x = self.patch(patches(pixels)).flatten(1, 2)
        x = torch.cat([x, self.cls.expand(len(x), 1, -1).to(x.dtype)], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return x[:, :-1].unflatten(1, (scenes.GRID, scenes.GRID))


class InternProjector(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.LayerNorm(c.v_dim, eps=1e-5)         # llama.cpp fixes this epsilon
        self.fc1 = nn.Linear(c.v_dim, c.dim)
        self.fc2 = nn.Linear(c.dim, c.dim)

    def forward(self, x):
        """(B, rows, columns, v_dim) -> (B, rows * columns, dim)"""
        return self.fc2(F.gelu(self.fc1(self.norm(x.flatten(1, 2))), approximate="tanh"))


class QwenVision(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.patch = nn.Linear(3 * scenes.PATCH ** 2, c.v_dim, bias=False)
        self.blocks = nn.ModuleList(VisionBlock(c) for _ in range(c.v_layers))
        self.norm = nn.LayerNorm(c.v_dim, eps=c.ln_eps)
        self.head_dim = c.v_dim // c.v_heads

    def forward(self, pixels):
        """pixels uint8 (B, H, W, 3) -> (B, H / 28, W / 28, v_dim)"""
        x = self.patch(patches(pixels))
        rows, columns = x.shape[1:3]
        rotation = self._rotation(rows, columns, x.device)
        x = x.flatten(1, 2)
        for block in self.blocks:
            x = block(x, rotation)
        return self.norm(x).unflatten(1, (rows, columns))

    def _rotation(self, rows, columns, device):
        """cos, sin, each (rows * columns, head_dim / 2): angles of the row, then of the column"""
        quarter = torch.arange(self.head_dim // 4, dtype=torch.float32, device=device)
        frequency = 10000.0 ** (-quarter / len(quarter))
        place = torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))
        angles = torch.cat([p[:, None] * frequency for p in place.unbind(1)], 1)
        return angles.cos(), angles.sin()


class QwenMerger(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1 = nn.Linear(4 * c.v_dim, 4 * c.dim)
        self.fc2 = nn.Linear(4 * c.dim, c.dim)

    def forward(self, x):
        """(B, rows, columns, v_dim) -> (B, rows * columns / 4, dim)"""
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).transpose(2, 3)
        return self.fc2(F.gelu(self.fc1(x.flatten(3).flatten(1, 2)), approximate="tanh"))


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

    def forward(self, x, rotation=None):
        b, n, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


def patches(pixels):
    """uint8 (B, H, W, 3) -> (B, H / 28, W / 28, 3 * 28 * 28), scaled to -1..1, each patch in order channel, y, x"""
    p = scenes.PATCH
    x = (pixels.float() / 127.5 - 1).unflatten(2, (-1, p)).unflatten(1, (-1, p))
    return x.permute(0, 1, 3, 5, 2, 4).flatten(3)


def rotate(x, cos, sin):
    """Rotary positions on (first half, second half) pairs; x (B, H, T, head_dim)"""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


PARTS = {"internvl": (InternVision, InternProjector), "qwen2vl": (QwenVision, QwenMerger)}
