"""Encoders of audio from the library transformers, with the text tower where they have one.

The architecture is the library's own, built from the folder's configuration; before it comes the library's feature
extractor. Code in a folder is not used, and nothing is downloaded.

Shape suffixes: B batch, S samples, T steps in time, D values of a layer, E embedding values, L tokens.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonolake.errors import PhonolakeError, UsageError
from phonolake.models.initial import seeded
from phonolake.models.network import Network
from phonolake.models.registry import NetworkCard

FOREIGN = NetworkCard(
    name="transformers",
    input="audio:16000",
    summary="An encoder of audio from the library transformers; its own card says what it reads.",
    source="https://huggingface.co/docs/transformers",
)
WITH_TEXT = "clap"
# By the name of a configuration: encoders of waveforms or frames, whose layers are (B, T, D).
ENCODERS = (
    "audio-spectrogram-transformer",
    "data2vec-audio",
    "hubert",
    "sew",
    "sew-d",
    "unispeech",
    "unispeech-sat",
    "wav2vec2",
    "wav2vec2-conformer",
    "wavlm",
)
EXTRACTORS = ("ASTFeatureExtractor", "ClapFeatureExtractor", "Wav2Vec2FeatureExtractor")
# What configurations that do not fit each other, or the samples, make the library raise.
MISFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def build(config: Mapping[str, Any] | None = None, **arguments: Any) -> "TransformersEncoder":
    """Build one of this configuration that learned nothing; a `UsageError` without: it is imported, and not trained."""
    if config is None:
        raise UsageError("an encoder is imported (`phonolake models import transformers DIR`) and cannot be trained")
    return TransformersEncoder(config=config, **arguments)


blank = build


@contextmanager
def library() -> Iterator[Any]:
    """The library transformers, without its progress bars and messages while the block runs.

    Raises
    ------
    UsageError
        When it is not installed.
    """
    try:
        import transformers
        from transformers.utils import logging
    except ModuleNotFoundError as error:
        raise UsageError("encoders need the library transformers: pip install 'phonolake[transformers]'") from error
    said, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(said)
        if bars:
            logging.enable_progress_bar()


class TransformersEncoder(Network):
    """An encoder as a network: windows of audio in, one vector each out.

    Parameters
    ----------
    config : mapping
        The folder's ``config.json``; its ``model_type`` is `WITH_TEXT` or one of `ENCODERS`.
    extractor : mapping
        The folder's ``preprocessor_config.json``: applied to the samples first.
    n_frames : int
        Samples of a window, S.
    layer : int, optional
        Which of the hidden states is pooled, by its mean over time: 0 is what enters the first layer, the last one by
        default. With a text tower the vector is the projection that texts share.
    n_tokenizer : int
        Bytes of the tokenizer; 0 where texts are not read.
    n_classes : int
        0: it gives vectors alone.
    """

    tokenizer: Tensor

    def __init__(
        self,
        config: Mapping[str, Any],
        extractor: Mapping[str, Any],
        n_frames: int,
        layer: int | None = None,
        n_tokenizer: int = 0,
        n_classes: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_classes, self.n_frames, self.layer = n_classes, n_frames, layer
        with library() as transformers, seeded(seed):
            known = transformers.AutoConfig.for_model(**config)
            self.encoder = transformers.AutoModel.from_config(known, dtype=torch.float32, trust_remote_code=False)
            self.extractor = extractor_of(transformers, extractor)
        self.register_buffer("tokenizer", torch.zeros(n_tokenizer, dtype=torch.uint8))
        self._reader: Any = None

    def embed(self, x: Tensor) -> Tensor:
        """Compute embedding_BE of x_BS."""
        try:
            with library():
                return self._embed(x)
        except MISFIT as error:
            raise PhonolakeError(
                f"the encoder does not take windows of {x.shape[-1]} samples: {first_line(error)}"
            ) from error

    def _embed(self, x_BS: Tensor) -> Tensor:
        sr = self.extractor.sampling_rate
        given = self.extractor(list(x_BS.cpu().numpy()), sampling_rate=sr, return_tensors="pt")
        if self.encoder.config.model_type == WITH_TEXT:
            features = given["input_features"].to(x_BS.device, torch.float32)
            # No window is longer than what is read at once. The library marks one of a batch as longer by chance.
            longer = torch.zeros(len(features), 1, dtype=torch.bool, device=x_BS.device)
            found: Tensor = self.encoder.get_audio_features(input_features=features, is_longer=longer).pooler_output
            return found
        values = given["input_values"].to(x_BS.device, torch.float32)
        layers = self.encoder(values, output_hidden_states=True).hidden_states
        pooled_BD: Tensor = layers[-1 if self.layer is None else self.layer].mean(dim=1)
        return pooled_BD

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Give logits of no classes, (B, 0)."""
        return embedding_BE.new_zeros(len(embedding_BE), 0)

    def embed_text(self, text: str) -> np.ndarray:
        """Compute the vector (E,) of a text, which lies where the vectors of audio do."""
        if not len(self.tokenizer):
            return super().embed_text(text)
        if not text.strip():
            raise UsageError("an empty text is like nothing: describe what is wanted in words")
        if self._reader is None:
            self._reader = reader(self.tokenizer.cpu().numpy().tobytes())
        ids = self._reader.encode(text).ids
        if len(ids) > (most := most_tokens(self.encoder.config)):
            raise UsageError(f"the text has {len(ids)} tokens, and the text tower reads at most {most}")
        ids_1L = torch.tensor([ids], device=self.tokenizer.device)
        with library(), torch.inference_mode():
            found = self.encoder.get_text_features(input_ids=ids_1L, attention_mask=torch.ones_like(ids_1L))
        vector: np.ndarray = found.pooler_output[0].cpu().numpy()
        return vector


def extractor_of(transformers: Any, config: Mapping[str, Any]) -> Any:
    """The library's feature extractor of a configuration, whose type is one of `EXTRACTORS`."""
    kind = config["feature_extractor_type"]
    assert kind in EXTRACTORS
    return getattr(transformers, kind)(**config)


def reader(tokenizer: bytes) -> Any:
    """A tokenizer out of what ``tokenizer.json`` holds, which neither pads nor cuts."""
    from tokenizers import Tokenizer

    found = Tokenizer.from_str(tokenizer.decode())
    found.no_padding()
    found.no_truncation()
    return found


def most_tokens(config: Any) -> int:
    """Tokens that a text tower reads; its places are counted from behind the number of the padding."""
    text = config.text_config
    return int(text.max_position_embeddings - text.pad_token_id - 1)


def first_line(error: Exception) -> str:
    """What an error of a library says, on one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
