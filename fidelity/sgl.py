"""The quantities of SGL (arXiv 2412.03324) as this project defines them, on what `transformers` returns.

Written from the definitions, not from the published code; README.md says where the two differ.
"""
import math
from fractions import Fraction

import torch


def importance(attentions, visual):
    """Attention mass of every visual token, per layer. `[n_layer, V]`

    `attentions` is what `generate` returns: one entry per forward pass, in it one `[1, n_head, n_query, n_key]` per layer.
    The first pass reads the prompt, whose queries count after the last visual token; each later one feeds back one
    generated token, which counts. The last generated token is never fed back. `visual` are the places of the visual
    tokens in the prompt, increasing.
    """
    question = visual[-1] + 1
    mass = 0.0
    for index, layers in enumerate(attentions):
        probabilities = torch.cat(layers).double()  # [n_layer, n_head, n_query, n_key]
        queries = probabilities[:, :, question:] if index == 0 else probabilities
        mass = mass + queries[..., visual].sum(dim=(1, 2))
    return mass


def kept(scores, share):
    """Indices of the `floor(share * V)` highest scores (at least one; ties go to the lower index), increasing."""
    budget = max(1, int(Fraction(str(share)) * len(scores)))
    ranking = torch.sort(scores, descending=True, stable=True).indices
    return sorted(ranking[:budget].tolist())


def log_probabilities(logits, answer):
    """`ln p` of each token of the answer under the logits that predicted it. `[N, n_vocab]`, `[N]` -> `[N]`"""
    return torch.log_softmax(logits.double(), dim=-1)[range(len(answer)), answer]


def confidence(log_probabilities):
    """Geometric mean of the probabilities of the answer's tokens."""
    return math.exp(log_probabilities.mean())


def consistency(log_probabilities):
    """Product of the probabilities of the same tokens, teacher-forced behind the pruned prompt."""
    return math.exp(log_probabilities.sum())
