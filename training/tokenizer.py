"""The byte-level BPE tokenizer that both models share (GPT-2 pre-tokenization, 482 tokens).

Its training is deterministic and takes seconds, so it is never stored with a checkpoint.
"""
from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import questions


@cache
def load():
    """Train the tokenizer on the question corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=768, min_frequency=20, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(questions.corpus(), trainer)
    tokenizer.add_special_tokens(questions.SPECIALS)
    return tokenizer


def ids(text):
    """Token ids of a text; special tokens are recognised."""
    return load().encode(text).ids
