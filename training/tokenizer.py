"""The byte-level BPE tokenizers, one per family of models: 482 tokens with GPT-2's way of splitting text into words,
or 406 with Qwen2's.

Their training is deterministic and takes seconds, so they are never stored with a checkpoint.
"""
from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import questions

QWEN2_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")


@cache
def load(family):
    """Train a family's tokenizer on the question corpus."""
    tokenizer = Tokenizer(models.BPE())
    if family.pre_tokenizer == "qwen2":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(QWEN2_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=family.vocabulary, min_frequency=20, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(questions.corpus(), trainer)
    tokenizer.add_special_tokens(family.specials)
    return tokenizer


def ids(text, family):
    """Token ids of a text; special tokens are recognised."""
    return load(family).encode(text).ids
