"""Tiny models of three families as `transformers` has them, with random weights, and their inputs.

Width 64, F32. The configuration stays where llama.cpp and `transformers` compute the same thing; README.md has the list.
"""
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig, LlamaConfig,
                          LlavaConfig, LlavaForConditionalGeneration, Qwen2VLConfig, Qwen2VLForConditionalGeneration,
                          SiglipVisionConfig)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

PATCH = 8
# Length of a matrix's output over that of its input, by part of the name; 1.2 for others.
GAIN = {"lm_head": 2.5, "q_proj": 1.5, "k_proj": 1.5, "out_proj": 0.01, "attn.proj": 0.01,
        "projection_layer": 0.05, "linear_1": 0.7}
# Pixels become (value - 128) / 128, which F16 holds exactly.
MEAN = [128 / 255] * 3
USER, ASSISTANT, END, PAD, VIDEO_PAD, VISION_START, VISION_END = SPECIALS = [
    "<|user|>", "<|assistant|>", "<|end|>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
MERGES = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "s"), ("Ġ", "is"), ("r", "e")]


def tokenizer():
    """A byte-level vocabulary with a few merges, GPT-2 pre-tokenization."""
    texts = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(pair) for pair in MERGES]
    tokenizer = Tokenizer(models.BPE({text: index for index, text in enumerate(texts)}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIALS])
    return tokenizer


class Family:
    """What the families share; a subclass adds configuration, picture tokens and positions."""

    def __init__(self):
        self.tokenizer = tokenizer()
        self.id = self.tokenizer.token_to_id

    def build(self, text_seed, n_layer):
        """A model whose vision encoder and projector are the same for every `text_seed`."""
        model = self.create(n_layer).float().eval()
        model.set_attn_implementation("eager")
        is_vision = lambda name: "language_model" not in name and "lm_head" not in name
        randomize([(name, p) for name, p in model.named_parameters() if is_vision(name)], 1)
        randomize([(name, p) for name, p in model.named_parameters() if not is_vision(name)], text_seed)
        saturate(*self.projector(model))
        return model

    def llama(self, n_layer):
        """A text model for the families that have no other."""
        return LlamaConfig(
            vocab_size=self.tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=96, num_hidden_layers=n_layer,
            num_attention_heads=4, num_key_value_heads=2, head_dim=32, max_position_embeddings=1024, rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, bos_token_id=None,
            eos_token_id=self.id(END), pad_token_id=self.id(END))

    def inputs(self, pictures, question):
        """Keyword arguments of `generate` for a prompt of the pictures and the question."""
        pixels = self.pixels(pictures)
        visual = "".join(self.picture_text(PAD * n) for n in self.n_visual(pixels))
        ids = torch.tensor([self.tokenizer.encode(f"{USER}{visual}{question}{END}{ASSISTANT}").ids])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **pixels}

    def visual(self, inputs):
        """Places of the visual tokens in the prompt."""
        return (inputs["input_ids"][0] == self.id(PAD)).nonzero()[:, 0].tolist()

    def embeddings(self, model, inputs):
        """Rows of the visual tokens, `[V, n_embd]`, and of all prompt tokens, `[1, P, n_embd]`."""
        rows = model.get_image_features(**self.pixel_arguments(inputs)).pooler_output
        rows = torch.cat([row for row in rows])
        prompt = model.get_input_embeddings()(inputs["input_ids"])
        prompt[0, self.visual(inputs)] = rows
        return rows, prompt


class Llava(Family):
    """LLaVA as of `llava-interleave`: a SigLIP encoder (no class token), its last but one layer, a two-layer projector."""

    name = "llava"
    side = 64

    def create(self, n_layer):
        return LlavaForConditionalGeneration(LlavaConfig(
            vision_config=SiglipVisionConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=self.side,
                patch_size=PATCH, hidden_act="silu", layer_norm_eps=1e-6, vision_use_head=False),
            text_config=self.llama(n_layer), image_token_id=self.id(PAD), image_seq_length=(self.side // PATCH) ** 2,
            projector_hidden_act="gelu_pytorch_tanh", vision_feature_layer=-2, vision_feature_select_strategy="full",
            tie_word_embeddings=False))

    def projector(self, model):
        projector = model.model.multi_modal_projector
        return projector.linear_1, projector.linear_2

    def pixels(self, pictures):
        size = {"height": self.side, "width": self.side}
        processor = SiglipImageProcessorPil(size=size, image_mean=MEAN, image_std=MEAN)
        return {"pixel_values": processor(pictures, return_tensors="pt")["pixel_values"]}

    def n_visual(self, pixels):
        return [(self.side // PATCH) ** 2] * len(pixels["pixel_values"])

    def picture_text(self, pads):
        return pads

    def pixel_arguments(self, inputs):
        return {"pixel_values": inputs["pixel_values"]}

    def positions(self, model, inputs):
        """`[1, P]`"""
        return torch.arange(inputs["input_ids"].shape[1])[None]


class InternVl(Llava):
    """InternVL with one tile for each picture: an encoder with class token, four patches merged into one token.

    The text models are those of `llava`.
    """

    name = "internvl"
    side = 128

    def create(self, n_layer):
        return InternVLForConditionalGeneration(InternVLConfig(
            vision_config=InternVLVisionConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                image_size=[self.side] * 2, patch_size=[PATCH] * 2, hidden_act="silu", layer_norm_eps=1e-6,
                attention_bias=True, norm_type="layer_norm"),
            text_config=self.llama(n_layer), image_token_id=self.id(PAD), image_seq_length=self.n_tile,
            downsample_ratio=0.5, vision_feature_layer=-1, vision_feature_select_strategy="default",
            tie_word_embeddings=False))

    @property
    def n_tile(self):
        return (self.side // PATCH // 2) ** 2

    def pixels(self, pictures):
        size = {"height": self.side, "width": self.side}
        processor = GotOcr2ImageProcessorPil(size=size, image_mean=MEAN, image_std=MEAN, crop_to_patches=False)
        return {"pixel_values": processor(pictures, return_tensors="pt")["pixel_values"]}

    def n_visual(self, pixels):
        return [self.n_tile] * len(pixels["pixel_values"])

    def picture_text(self, pads):
        return f"<img>{pads}</img>"


class Qwen2Vl(Family):
    """Qwen2-VL: pictures of any size, M-RoPE in the encoder and in the text model."""

    name = "qwen2_vl"

    def create(self, n_layer):
        return Qwen2VLForConditionalGeneration(Qwen2VLConfig(
            vision_config=dict(depth=2, embed_dim=32, hidden_size=64, num_heads=2, mlp_ratio=2, patch_size=PATCH,
                               hidden_act="silu"),
            text_config=dict(
                vocab_size=self.tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=96,
                num_hidden_layers=n_layer, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024,
                rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                                    "mrope_section": [2, 3, 3]},
                bos_token_id=None, eos_token_id=self.id(END), pad_token_id=self.id(END)),
            image_token_id=self.id(PAD), video_token_id=self.id(VIDEO_PAD), vision_start_token_id=self.id(VISION_START),
            vision_end_token_id=self.id(VISION_END), tie_word_embeddings=False))

    def projector(self, model):
        return model.model.visual.merger.mlp[0], model.model.visual.merger.mlp[2]

    def pixels(self, pictures):
        processor = Qwen2VLImageProcessorPil(patch_size=PATCH, min_pixels=8 * (2 * PATCH) ** 2,
                                             max_pixels=4096 * (2 * PATCH) ** 2, image_mean=MEAN, image_std=MEAN)
        return dict(processor(pictures, return_tensors="pt"))

    def inputs(self, pictures, question):
        inputs = super().inputs(pictures, question)
        return inputs | {"mm_token_type_ids": (inputs["input_ids"] == self.id(PAD)).int()}

    def n_visual(self, pixels):
        return (pixels["image_grid_thw"].prod(dim=1) // 4).tolist()

    def picture_text(self, pads):
        return f"{VISION_START}{pads}{VISION_END}"

    def pixel_arguments(self, inputs):
        return {"pixel_values": inputs["pixel_values"], "image_grid_thw": inputs["image_grid_thw"]}

    def positions(self, model, inputs):
        """`[3, 1, P]`: time, row, column."""
        arguments = {name: inputs[name] for name in ("input_ids", "mm_token_type_ids", "image_grid_thw")}
        return model.model.get_rope_index(**arguments)[0]


def randomize(parameters, seed):
    """Weights under which attention is far from uniform and logits are far apart."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in parameters:
        noise = (2 * torch.rand(parameter.shape, generator=generator) - 1) * 3**0.5  # variance 1
        if parameter.ndim == 1:
            value = 0.2 * noise + (1.0 if "norm" in name and name.endswith("weight") or "ln_q.weight" in name else 0.0)
        elif any(part in name for part in ("embed_tokens", "position_embedding", "cls_token")):
            value = noise
        else:
            gain = next((gain for part, gain in GAIN.items() if part in name), 1.2)
            value = gain * noise / (parameter[0].numel() ** 0.5)
        if "patch_embed" in name and parameter.ndim > 1:
            value = value.half().float()  # ggml's convolution rounds its weights to F16
        parameter.data.copy_(value)


def saturate(first, second):
    """Puts every unit between the two layers of a projector where all forms of GELU are 0 or the identity.

    What the units add on average is taken out again, so that rows keep telling visual tokens apart.
    """
    signs = first.bias.data.sign()
    first.bias.data = 16 * signs
    second.bias.data -= second.weight.data @ first.bias.data.relu()
    first.register_forward_hook(check_saturated)


def check_saturated(layer, arguments, value):
    assert value.abs().min() >= 10, f"a unit at {value.abs().min():.1f} is in the range where GELUs differ"
