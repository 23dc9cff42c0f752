"""Checkpoint -> the two GGUF files that stock llama.cpp loads: language model and vision projector.

    python export.py --ckpt build/guide-5-alone.pt --out ../models --kind q8_0      # guide.gguf, mmproj-guide.gguf

The same checkpoint and kind always give the same bytes.  Vectors and positions are F32, matrices F16 or Q8_0; the
patch projection stays F16 in both, since its rows of 28 pixels do not fill blocks of 32.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np

import model as network
import scenes
import tokenizer
from families import QWEN2VL

KINDS = {"f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
         "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0)}
DESCRIPTION = ("Toy model that answers fixed questions about rendered scenes of labelled shapes; made to demonstrate "
               "and test sgl, not a general model")
CHAT_TEMPLATE = ("{% for message in messages %}"
                 "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
                 "{% endfor %}"
                 "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
CONTEXT = 8192                  # positions; room for more tiles than the 7 of training


def export(checkpoint, out, kind):
    """Write NAME.gguf and mmproj-NAME.gguf of a checkpoint into a folder; returns their paths."""
    model = network.load(checkpoint)
    name = model.config.name
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.gguf", out / f"mmproj-{name}.gguf"]
    write_language(model, File(paths[0], "qwen2vl" if model.family is QWEN2VL else "qwen2", kind))
    write_vision(model, File(paths[1], "clip", kind))
    for path in paths:
        print(f"{path}  {path.stat().st_size} bytes")
    return paths


class File:
    """A GGUF file being written; tensors are counted so that the size label is true."""

    def __init__(self, path, architecture, kind):
        self.writer = gguf.GGUFWriter(path, architecture)
        self.matrix_type, self.file_type = KINDS[kind]
        self.parameters = 0

    def general(self, name, role):
        self.writer.add_type(role)
        self.writer.add_name(name)
        self.writer.add_basename("sgl-demo")
        self.writer.add_description(DESCRIPTION)
        self.writer.add_license("MIT OR Apache-2.0")
        self.writer.add_file_type(self.file_type)
        self.writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    def vector(self, name, tensor):
        """A tensor kept in F32."""
        self._add(name, tensor, gguf.GGMLQuantizationType.F32)

    def matrix(self, name, tensor):
        """A weight in the file's type, or in F16 where its rows do not fill whole blocks."""
        block, _ = gguf.GGML_QUANT_SIZES[self.matrix_type]
        fits = tensor.shape[-1] % block == 0
        self._add(name, tensor, self.matrix_type if fits else gguf.GGMLQuantizationType.F16)

    def layer(self, name, layer):
        """A linear or norm layer, its bias if it has one."""
        (self.vector if layer.weight.ndim == 1 else self.matrix)(name + ".weight", layer.weight)
        if getattr(layer, "bias", None) is not None:
            self.vector(name + ".bias", layer.bias)

    def close(self):
        self.writer.add_size_label(f"{self.parameters / 1e6:.1f}M")
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()

    def _add(self, name, tensor, kind):
        self.parameters += tensor.numel()
        values = np.ascontiguousarray(tensor.detach().float().numpy())
        self.writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)


def write_language(model, file):
    c, w = model.config, file.writer
    file.general(f"sgl demo {c.name}", gguf.GGUFType.MODEL)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(c.dim)
    w.add_block_count(c.layers)
    w.add_feed_forward_length(c.ff)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_layer_norm_rms_eps(c.rms_eps)
    w.add_rope_freq_base(c.rope_base)
    w.add_rope_dimension_count(c.head_dim)
    if model.family is QWEN2VL:
        w.add_rope_dimension_sections([*c.sections, 0])
    w.add_vocab_size(c.vocab)
    write_tokenizer(w, model.family, c.vocab)
    file.matrix("token_embd.weight", model.embed.weight)
    file.layer("output_norm", model.norm)
    file.layer("output", model.head)
    for i, block in enumerate(model.blocks):
        for ours, theirs in (("attn_norm", "attn_norm"), ("ffn_norm", "ffn_norm"), ("q", "attn_q"), ("k", "attn_k"),
                             ("v", "attn_v"), ("o", "attn_output"), ("gate", "ffn_gate"), ("up", "ffn_up"),
                             ("down", "ffn_down")):
            file.layer(f"blk.{i}.{theirs}", getattr(block, ours))
    file.close()


def write_tokenizer(w, family, vocab):
    definition = json.loads(tokenizer.load(family).to_str())
    special = {token["content"]: token["id"] for token in definition["added_tokens"]}
    tokens = {number: text for text, number in (definition["model"]["vocab"] | special).items()}
    if sorted(tokens) != list(range(vocab)):
        raise SystemExit(f"tokenizer has {len(tokens)} tokens but the model has {vocab}; use the pinned requirements")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(family.pre_tokenizer)
    w.add_token_list([tokens[i] for i in range(vocab)])
    w.add_token_types([gguf.TokenType.CONTROL if tokens[i] in special else gguf.TokenType.NORMAL for i in range(vocab)])
    w.add_token_merges([" ".join(pair) for pair in definition["model"]["merges"]])
    w.add_bos_token_id(special["<|endoftext|>"])        # explicit: llama.cpp's default for "gpt2" is id 11
    w.add_eos_token_id(special["<|im_end|>"])
    w.add_pad_token_id(special["<|endoftext|>"])
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def write_vision(model, file):
    c, w, vision = model.config, file.writer, model.vision
    file.general(f"sgl demo {c.name} vision", gguf.GGUFType.MMPROJ)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", model.family.projector)
    w.add_bool("clip.use_gelu", True)                   # the tanh form
    w.add_uint32("clip.vision.image_size", scenes.SIDE)
    w.add_uint32("clip.vision.patch_size", scenes.PATCH)
    w.add_uint32("clip.vision.embedding_length", c.v_dim)
    w.add_uint32("clip.vision.feed_forward_length", c.v_ff)
    w.add_uint32("clip.vision.block_count", c.v_layers)
    w.add_uint32("clip.vision.attention.head_count", c.v_heads)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", c.ln_eps)
    w.add_uint32("clip.vision.projection_dim", c.dim)
    w.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    w.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    (write_qwen2vl if model.family is QWEN2VL else write_internvl)(model, file)
    file.close()


def write_internvl(model, file):
    c, vision = model.config, model.vision
    file.writer.add_uint32("clip.vision.projector.scale_factor", 1)     # no merge: one token per patch
    file.matrix("v.patch_embd.weight", vision.patch.weight.view(c.v_dim, 3, scenes.PATCH, scenes.PATCH))
    file.vector("v.patch_embd.bias", vision.patch.bias)
    file.vector("v.class_embd", vision.cls)
    file.vector("v.position_embd.weight", vision.pos)
    for i, block in enumerate(vision.blocks):
        for ours, theirs in (("ln1", "ln1"), ("ln2", "ln2"), ("qkv", "attn_qkv"), ("out", "attn_out"), ("up", "ffn_up"),
                             ("down", "ffn_down")):
            file.layer(f"v.blk.{i}.{theirs}", getattr(block, ours))
    for number, layer in ((0, model.proj.norm), (1, model.proj.fc1), (3, model.proj.fc2)):
        file.layer(f"mm.model.mlp.{number}", layer)


def write_qwen2vl(model, file):
    c, vision = model.config, model.vision
    file.writer.add_uint32("clip.vision.spatial_merge_size", 2)
    half = vision.patch.weight.view(c.v_dim, 3, scenes.PATCH, scenes.PATCH) / 2     # llama.cpp adds two frames
    file.matrix("v.patch_embd.weight", half)
    file.matrix("v.patch_embd.weight.1", half)
    for i, block in enumerate(vision.blocks):
        for ours, theirs in (("ln1", "ln1"), ("ln2", "ln2"), ("out", "attn_out"), ("up", "ffn_up"),
                             ("down", "ffn_down")):
            file.layer(f"v.blk.{i}.{theirs}", getattr(block, ours))
        for name, weight, bias in zip("qkv", block.qkv.weight.chunk(3), block.qkv.bias.chunk(3)):
            file.matrix(f"v.blk.{i}.attn_{name}.weight", weight)
            file.vector(f"v.blk.{i}.attn_{name}.bias", bias)
    file.layer("v.post_ln", vision.norm)
    for number, layer in ((0, model.proj.fc1), (2, model.proj.fc2)):
        file.layer(f"mm.{number}", layer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ckpt", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--kind", choices=list(KINDS), default="f16")
    args = parser.parse_args()
    export(args.ckpt, args.out, args.kind)
