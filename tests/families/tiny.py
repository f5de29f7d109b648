"""Tiny models of any family of transformers: the default configuration, every size made small, weights at random."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import torch
import transformers
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

VOCABULARY = 96
POSITIONS = 48
WIDTH = 32

_SIZES: tuple[tuple[str, int], ...] = (
    (r"vocab_size(_.*)?|.*_vocab_size|n_vocab|ctc_vocab_size|vocab_size_per_layer_input", VOCABULARY),
    (r"max_position_embeddings|n_positions|max_seq_len|n_ctx|.*max_position_embeddings|max_sequence_length", POSITIONS),
    (r"num_(hidden|encoder|decoder|attention)?_?layers|n_layers?|num_layers|(en|de)coder_layers|num_blocks", 2),
    (r"num_(attention_)?heads|n_heads?|num_head|(en|de)coder_attention_heads|attention_heads|.*_num_heads", 4),
    (r"mamba_n_heads|mamba_num_heads|n_mamba_heads|mamba_d_head|mamba_head_dim|n_groups", 8),
    (r"mamba_d_state|ssm_state_size|state_size|mamba_d_conv|conv_kernel", 8),
    (r"mamba_d_ssm|.*chunk_size", 64),
    (r"linear_num_(key|value)_heads|linear_(key|value)_head_dim", 8),
    (r"num_(key_value_heads|kv_heads)|.*_num_(key_value_heads|kv_heads)|num_global_key_value_heads", 2),
    (r"hidden_size|d_model|n_embd|dim|embedding_size|emb_dim|d_embed|word_embed_proj_dim|embed_dim|model_dim", WIDTH),
    (r".*intermediate_size|ffn_dim|d_ff|(en|de)coder_ffn_dim|n_inner|hidden_dim|dff|ffn_hidden_size|d_inner", 64),
    (r"head_dim|d_kv|d_head|qk_nope_head_dim|v_head_dim|kv_channels|rotary_dim|qk_rope_head_dim", 8),
    (r"num_(local_|routed_)?experts|n_routed_experts|moe_num_experts", 4),
    (r"num_experts_per_tok|moe_topk|moe_k|top_k_experts|num_selected_experts", 2),
    (r"q_lora_rank|kv_lora_rank|.*lora_rank", 8),
    (r"sliding_window|local_attention|window_size", 16),
)


_ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}
_GIVEN: dict[str, dict[str, Any]] = {
    "axk1": {"n_group": 1, "topk_group": 1},
    "bamba": {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1},
    "blt": {"encoder_hash_byte_group_size": [3], "encoder_hash_byte_group_vocab": 101},
    "blt_local_decoder": {"hidden_size_global": WIDTH},
    "blt_local_encoder": {"hidden_size_global": WIDTH},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "cosmos3_edge_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "diffusion_gemma_text": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 16},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "gemma3n_text": {
        **{"num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": [64] * 4},
        **{"layer_types": ["sliding_attention", "full_attention"] * 2, "activation_sparsity_pattern": [0.0] * 4},
        **{"hidden_size_per_layer_input": 8, "laurel_rank": 8},
    },
    "glm4v_moe_text": {"rope_parameters": {**_ROPE, "partial_rotary_factor": 0.5, "mrope_section": [1, 1, 0]}},
    "glm4v_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "glm_image_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "glm_ocr_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "granitemoehybrid": {"mamba_n_heads": 8, "mamba_d_head": 8},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "hunyuan_vl_text": {"head_dim": 8, "rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "hy_v4_vl_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "kimi_linear": {"num_experts_per_token": 2, "linear_head_dim": 8, "linear_num_heads": 4},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "led": {"attention_window": [8, 8], "max_encoder_position_embeddings": POSITIONS},
    "longcat_flash": {"zero_expert_num": 2, "expert_ffn_hidden_size": 64, "num_layers": 1},
    "longformer": {"attention_window": [8, 8]},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "ministral": {"head_dim": 8},
    "mistral4": {
        "head_dim": 8,
        "rope_parameters": {**_ROPE, "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": POSITIONS},
    },
    "nemotron": {"num_key_value_heads": 2},
    "nemotron_h": {"mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 2},
    "qwen2_5_vl_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "qwen2_vl_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "esm": {"vocab_size": VOCABULARY, "mask_token_id": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8, "visual_embed": False},
    "lilt": {"channel_shrink_ratio": 2, "hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 48},
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "lsh"], "feed_forward_size": 64},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        **{"num_hidden_layers": 4, "attention_hidden_size": 64, "attention_head_dim": 16, "mamba_dt_rank": 4},
        **{"layers_block_type": ["linear_attention", "hybrid"] * 2, "n_mamba_heads": 2},
    },
    "zamba2": {
        **{"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "adapter_rank": 8},
        **{"mamba_headdim": 8, "n_mamba_heads": 8, "attention_hidden_size": 64, "attention_head_dim": 16},
        **{"num_query_groups": 4, "hybrid_layer_ids": [1, 3]},
    },
}
"""What the general sizes do not fit together with, by model type."""


def tiny_config(kind: type[Any], **given: Any) -> Any:
    """The family's default configuration with small sizes, those of its parts, too; `given` takes precedence."""
    default = kind()
    chosen: dict[str, Any] = {}
    for name, value in list(vars(default).items()):
        if isinstance(value, transformers.PretrainedConfig) and name.endswith("config"):
            chosen[name] = tiny_config(type(value)).to_dict()
        elif isinstance(value, int) and not isinstance(value, bool):
            size = next((size for pattern, size in _SIZES if re.fullmatch(pattern, name)), None)
            if size is not None and value > 0:
                chosen[name] = min(value, size)
            elif name.endswith("_token_id") and value >= VOCABULARY:
                chosen[name] = VOCABULARY - 1
    heads = vars(default).get("num_attention_heads")
    if heads and heads == vars(default).get("num_key_value_heads") and "num_attention_heads" in chosen:
        chosen["num_key_value_heads"] = chosen["num_attention_heads"]  # as many, where the family has as many
    if getattr(default, "pad_token_id", 0) is None:
        chosen["pad_token_id"] = 1
    if kind.model_type == "t5gemma":
        chosen = {part: chosen[part] for part in ("encoder", "decoder") if part in chosen}
        chosen |= {part: tiny_config(type(getattr(default, part))).to_dict() for part in ("encoder", "decoder")}
    return kind(**{**chosen, **_GIVEN.get(kind.model_type, {}), **given})


def perturbed(model: Model, seed: int = 0) -> Model:
    """The model with every parameter drawn so that neither biases nor padding rows are zero, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.3 if parameter.dim() > 1 else 0.1
            parameter.add_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


def config_classes() -> dict[str, type[Any]]:
    """Configuration classes by model type, of everything that transformers' auto classes know."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    found = {}
    for name in CONFIG_MAPPING_NAMES:
        try:
            found[name] = transformers.CONFIG_MAPPING[name]
        except (ImportError, AttributeError, KeyError):
            continue
    return found
