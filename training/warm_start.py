"""Start a `qwen2vl` model from a trained `internvl` model."""
import torch

import tokenizer


@torch.no_grad()
def transplant(source, target):
    """Copy every tensor that has the same name and shape in both.

    A token's rows of the embedding and output matrices become the mean of those of the tokens that spell it in the
    source's vocabulary.  The merger makes of a block half the sum of what the source's projector makes of its patches.
    """
    weights = source.state_dict()
    for name, weight in target.state_dict().items():
        if name in ("embed.weight", "head.weight"):
            weight.copy_(torch.stack([weights[name][spelling].mean(0) for spelling in spellings(source, target)]))
        elif name in weights and weights[name].shape == weight.shape:
            weight.copy_(weights[name])
    merger, projector = target.proj, source.proj
    target.vision.norm.load_state_dict(projector.norm.state_dict())
    merger.fc1.weight.copy_(torch.block_diag(*[projector.fc1.weight] * 4))
    merger.fc1.bias.copy_(projector.fc1.bias.repeat(4))
    merger.fc2.weight.copy_(projector.fc2.weight.repeat(1, 4) / 2)
    merger.fc2.bias.copy_(projector.fc2.bias * 2)


def spellings(source, target):
    """Per token of the target the token ids that spell it in the source; picture tokens match by their role."""
    roles = dict(zip(target.family.specials, source.family.specials))
    vocabulary = tokenizer.load(target.family)
    for number in range(vocabulary.get_vocab_size()):
        piece = vocabulary.id_to_token(number)
        exact = tokenizer.load(source.family).token_to_id(roles.get(piece, piece))
        yield [exact] if exact is not None else tokenizer.ids(vocabulary.decode([number]), source.family)
