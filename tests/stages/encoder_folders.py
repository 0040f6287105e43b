"""Folders of small encoders, made and written by the library; a text tower that fits what is heard, or does not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

SR = 16_000
# A quick encoder of each kind: the first convolutions leave 40 samples a frame.
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8),
    "conv_stride": (8, 5),
    "conv_kernel": (10, 8),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 10,
}
PICTURES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_length": 64,
    "num_mel_bins": 32,
}
WIDTH = 24
CLAP: dict[str, Any] = {
    "text_config": {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 12,
        "projection_dim": WIDTH,
    },
    "audio_config": {
        "hidden_size": 16,
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "num_mel_bins": 32,
        "spec_size": 64,
        "window_size": 4,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "projection_dim": WIDTH,
        "num_hidden_layers": 2,
    },
    "projection_dim": WIDTH,
}


def encoder(folder: Path, kind: str, *, seed: int = 0, **changes: Any) -> tuple[Any, Any]:
    """Write an encoder of a kind; returns the library's own model and feature extractor."""
    from transformers import ASTFeatureExtractor, AutoConfig, AutoModel, Wav2Vec2FeatureExtractor

    pictured = kind == "audio-spectrogram-transformer"
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **((PICTURES if pictured else SMALL) | changes))
    model = AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    if pictured:
        extractor = ASTFeatureExtractor(max_length=64, num_mel_bins=32)
    else:
        extractor = Wav2Vec2FeatureExtractor(sampling_rate=SR, do_normalize=True)
    extractor.save_pretrained(folder)
    return model, extractor


def clap(folder: Path, words: tuple[str, ...], *, fused: bool = False, seed: int = 0) -> tuple[Any, Any, Any]:
    """Write a CLAP whose text tower knows these words; returns the library's model, extractor and tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    changes: dict[str, Any] = {"audio_config": CLAP["audio_config"] | {"enable_fusion": fused}}
    model = ClapModel(ClapConfig(**(CLAP | changes))).eval()
    model.save_pretrained(folder)
    extractor = ClapFeatureExtractor(
        feature_size=32,
        sampling_rate=SR,
        hop_length=160,
        max_length_s=1,
        fft_window_size=512,
        frequency_max=8000,
        truncation="fusion" if fused else "rand_trunc",
    )
    extractor.save_pretrained(folder)
    vocabulary = {word: n for n, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", *words))}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    return model, extractor, tokenizer


def teach(folder: Path, sounds: Mapping[str, np.ndarray]) -> None:
    """Fit the last layer of the text tower: the vector of each text points at its sound and away from the others."""
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    model = ClapModel.from_pretrained(folder).eval()
    extractor, tokenizer = ClapFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        features = extractor(list(sounds.values()), sampling_rate=SR, return_tensors="pt")["input_features"].float()
        wanted = model.get_audio_features(input_features=features, is_longer=torch.zeros(len(sounds), 1).bool())
        wanted_KE = torch.linalg.pinv(wanted.pooler_output.double()).T
        pooled = [model.text_model(**tokenizer(text, return_tensors="pt")).pooler_output for text in sounds]
        hidden = model.text_projection.activation(model.text_projection.linear1(torch.cat(pooled)))
        solved = torch.linalg.lstsq(hidden.double(), wanted_KE, driver="gelsd").solution
    with torch.no_grad():
        model.text_projection.linear2.weight.copy_(solved.T.float())
        model.text_projection.linear2.bias.zero_()
    model.save_pretrained(folder)
