"""Muon for the matrices inside the network, AdamW for everything else."""
import torch


def make(model, lr, text):
    """The optimizers of a phase; without `text` only the vision encoder and the patch classifier train."""
    inner, decayed, plain = [], [], []
    for name, p in model.named_parameters():
        if not text and not name.startswith(("vision", "aux")):
            continue
        if p.ndim == 2 and ("blocks" in name or name.startswith("proj.fc")):
            inner.append(p)
        elif p.ndim == 2 and name not in ("embed.weight", "vision.pos"):
            decayed.append(p)
        else:
            plain.append(p)
    groups = [dict(params=decayed, weight_decay=0.05), dict(params=plain, weight_decay=0.0)]
    return [Muon(inner, lr, weight_decay=0.05), torch.optim.AdamW(groups, lr, betas=(0.9, 0.98), fused=True)]


class Muon(torch.optim.Optimizer):
    """Momentum steps made orthogonal (Jordan et al., 2024), scaled to the step size of AdamW (Liu et al., 2025).

    PyTorch has one, which works in bf16 whatever the device: too slow on CPUs that only emulate bf16.
    """

    def __init__(self, params, lr, weight_decay, momentum=0.95):
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if "average" not in self.state[p]:
                    self.state[p]["average"] = torch.zeros_like(p)
                average = self.state[p]["average"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(average, group["momentum"]))        # Nesterov
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(update, alpha=group["lr"] * 0.2 * max(p.shape) ** 0.5)


def orthogonal(matrix, iterations=4):
    """The nearest matrix with orthonormal rows or columns, roughly: a quintic Newton-Schulz iteration that brings
    every singular value near 1."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
