"""Tiny models of `transformers` -> the GGUF files that llama.cpp loads, all tensors F32."""
import json

import gguf
import numpy as np
import torch

import networks

CHAT_TEMPLATE = (f"{{% for message in messages %}}{networks.USER}{{{{ message['content'] }}}}{networks.END}{{% endfor %}}"
                 f"{{% if add_generation_prompt %}}{networks.ASSISTANT}{{% endif %}}")


def export_text(family, model, path):
    """The language model: `llama` for LLaVA, `qwen2vl` for Qwen2-VL."""
    config = model.config.text_config
    is_llama = config.model_type == "llama"
    w = gguf.GGUFWriter(path, "llama" if is_llama else "qwen2vl")
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    w.add_name(f"fidelity test {family.name}")
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_freq_base(config.rope_parameters["rope_theta"])
    w.add_rope_dimension_count(head_dim)
    if not is_llama:
        w.add_rope_dimension_sections(config.rope_parameters["mrope_section"] + [0])
    w.add_vocab_size(config.vocab_size)
    add_tokenizer(w, family.tokenizer)

    tensors = model.model.language_model
    add(w, "token_embd.weight", tensors.embed_tokens.weight)
    add_layer(w, "output_norm", tensors.norm)
    add_layer(w, "output", model.lm_head)
    for index, layer in enumerate(tensors.layers):
        attention, mlp = layer.self_attn, layer.mlp
        for name, source in (("attn_norm", layer.input_layernorm), ("attn_v", attention.v_proj),
                             ("attn_output", attention.o_proj), ("ffn_norm", layer.post_attention_layernorm),
                             ("ffn_gate", mlp.gate_proj), ("ffn_up", mlp.up_proj), ("ffn_down", mlp.down_proj)):
            add_layer(w, f"blk.{index}.{name}", source)
        for name, source in (("attn_q", attention.q_proj), ("attn_k", attention.k_proj)):
            if is_llama:
                add(w, f"blk.{index}.{name}.weight", rotary_pairs(source.weight, head_dim))
            else:
                add_layer(w, f"blk.{index}.{name}", source)
    close(w)


def export_llava_vision(model, path):
    vision, projector = model.model.vision_tower, model.model.multi_modal_projector
    config = model.config.vision_config
    w = vision_writer(path, "mlp", config.hidden_size, config.intermediate_size, config.num_hidden_layers,
                      config.num_attention_heads, config.layer_norm_eps, config.image_size, model)
    add_layer(w, "v.patch_embd", vision.embeddings.patch_embedding)
    add(w, "v.position_embd.weight", vision.embeddings.position_embedding.weight)
    for index, layer in enumerate(vision.encoder.layers):
        for name, source in (("ln1", layer.layer_norm1), ("attn_q", layer.self_attn.q_proj),
                             ("attn_k", layer.self_attn.k_proj), ("attn_v", layer.self_attn.v_proj),
                             ("attn_out", layer.self_attn.out_proj), ("ln2", layer.layer_norm2),
                             ("ffn_up", layer.mlp.fc1), ("ffn_down", layer.mlp.fc2)):
            add_layer(w, f"v.blk.{index}.{name}", source)
    add_layer(w, "mm.0", projector.linear_1)
    add_layer(w, "mm.2", projector.linear_2)
    close(w)


def export_qwen2_vl_vision(model, path):
    vision, config = model.model.visual, model.config.vision_config
    w = vision_writer(path, "qwen2vl_merger", config.embed_dim, config.embed_dim * config.mlp_ratio, config.depth,
                      config.num_heads, 1e-6, 8 * networks.PATCH, model)
    frames = vision.patch_embed.proj.weight.unbind(dim=2)  # one kernel for each of two frames
    add(w, "v.patch_embd.weight", frames[0])
    add(w, "v.patch_embd.weight.1", frames[1])
    for index, block in enumerate(vision.blocks):
        for name, source in (("ln1", block.norm1), ("attn_out", block.attn.proj), ("ln2", block.norm2),
                             ("ffn_up", block.mlp.fc1), ("ffn_down", block.mlp.fc2)):
            add_layer(w, f"v.blk.{index}.{name}", source)
        for kind in ("weight", "bias"):
            for name, part in zip("qkv", getattr(block.attn.qkv, kind).chunk(3)):
                add(w, f"v.blk.{index}.attn_{name}.{kind}", part)
    add_layer(w, "v.post_ln", vision.merger.ln_q)
    add_layer(w, "mm.0", vision.merger.mlp[0])
    add_layer(w, "mm.2", vision.merger.mlp[2])
    close(w)


def export_internvl_vision(model, path):
    vision, projector = model.model.vision_tower, model.model.multi_modal_projector
    config = model.config.vision_config
    w = vision_writer(path, "internvl", config.hidden_size, config.intermediate_size, config.num_hidden_layers,
                      config.num_attention_heads, config.layer_norm_eps, config.image_size[0], model)
    w.add_uint32("clip.vision.projector.scale_factor", round(1 / model.config.downsample_ratio))
    add(w, "v.class_embd", vision.embeddings.cls_token.flatten())
    add_layer(w, "v.patch_embd", vision.embeddings.patch_embeddings.projection)
    # llama.cpp puts the class token behind the patches, `transformers` before them.
    add(w, "v.position_embd.weight", vision.embeddings.position_embeddings[0].roll(-1, dims=0))
    for index, layer in enumerate(vision.encoder.layer):
        attention = layer.attention
        for name, source in (("ln1", layer.layernorm_before), ("attn_q", attention.q_proj),
                             ("attn_k", attention.k_proj), ("attn_v", attention.v_proj),
                             ("attn_out", attention.projection_layer), ("ln2", layer.layernorm_after),
                             ("ffn_up", layer.mlp.fc1), ("ffn_down", layer.mlp.fc2)):
            add_layer(w, f"v.blk.{index}.{name}", source)
        add(w, f"v.blk.{index}.ls1.weight", layer.lambda_1)
        add(w, f"v.blk.{index}.ls2.weight", layer.lambda_2)
    for number, source in ((0, projector.layer_norm), (1, projector.linear_1), (3, projector.linear_2)):
        add_layer(w, f"mm.model.mlp.{number}", source)
    close(w)


EXPORT_VISION = {"llava": export_llava_vision, "internvl": export_internvl_vision, "qwen2_vl": export_qwen2_vl_vision}


def rotary_pairs(weight, head_dim):
    """`transformers` rotates element i of a head with element i + d/2, llama.cpp's `llama` 2i with 2i + 1."""
    halves = weight.view(-1, 2, head_dim // 2, weight.shape[-1])
    return halves.transpose(1, 2).reshape(weight.shape)


def vision_writer(path, projector, width, inner, n_layer, n_head, eps, image_size, model):
    w = gguf.GGUFWriter(path, "clip")
    w.add_type(gguf.GGUFType.MMPROJ)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", projector)
    w.add_bool("clip.use_silu", True)
    w.add_uint32("clip.vision.image_size", image_size)
    w.add_uint32("clip.vision.patch_size", networks.PATCH)
    w.add_uint32("clip.vision.embedding_length", width)
    w.add_uint32("clip.vision.feed_forward_length", inner)
    w.add_uint32("clip.vision.block_count", n_layer)
    w.add_uint32("clip.vision.attention.head_count", n_head)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", eps)
    w.add_uint32("clip.vision.projection_dim", model.config.text_config.hidden_size)
    w.add_array("clip.vision.image_mean", networks.MEAN)
    w.add_array("clip.vision.image_std", networks.MEAN)
    return w


def add_tokenizer(w, tokenizer):
    definition = json.loads(tokenizer.to_str())
    special = {token["id"] for token in definition["added_tokens"]}
    ids = range(tokenizer.get_vocab_size())
    end = tokenizer.token_to_id(networks.END)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list([tokenizer.id_to_token(index) for index in ids])
    w.add_token_types([gguf.TokenType.CONTROL if index in special else gguf.TokenType.NORMAL for index in ids])
    w.add_token_merges([" ".join(pair) for pair in networks.MERGES])
    w.add_bos_token_id(end)  # explicit: the default for this kind of tokenizer is another token
    w.add_eos_token_id(end)
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def add_layer(w, name, layer):
    add(w, f"{name}.weight", layer.weight)
    if getattr(layer, "bias", None) is not None:
        add(w, f"{name}.bias", layer.bias)


def add(w, name, tensor):
    w.add_tensor(name, np.ascontiguousarray(tensor.detach().to(torch.float32).numpy()))


def close(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    w.close()
