"""Every embedder by name. Names and facts cost nothing to read; networks are imported when one is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders.base import EmbedderCard, Kind, Setting

ENTRY_POINT_GROUP = "clapstick.embedders"
_HERE = "clapstick.metrics.embedders"

_KAISER = "torchaudio kaiser width 64 rolloff 0.9476"
_FADTK_32K: dict[str, Setting] = {
    "sample_rate": 32000,
    "resampler": _KAISER,
    "quantised": "pcm16",
}
_PANNS_16K: dict[str, Setting] = {
    "sample_rate": 16000,
    "resampler": "torchaudio hann width 6 rolloff 0.99",
    "mean_removed": True,
    "padded_to_s": 2,
}

_WAVEGRAM = EmbedderCard(
    name="panns-wavegram-logmel",
    title="PANNs Wavegram-Logmel-CNN14 (32 kHz), after fc1 and ReLU, one vector a clip",
    kind="audio",
    network="panns-wavegram-logmel",
    output="embedding",
    dimension=2048,
    weights=("panns-wavegram-logmel",),
    entry=f"{_HERE}.panns:load_wavegram",
    front_end=_FADTK_32K,
    source="DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/model_loader.py, PANNsModel",
)
_CNN14_32K = replace(
    _WAVEGRAM,
    name="panns-cnn14-32k",
    title="PANNs CNN14 (32 kHz), after fc1 and ReLU, one vector a clip",
    network="panns-cnn14-32k",
    weights=("panns-cnn14-32k",),
    entry=f"{_HERE}.panns:load_cnn14_32k",
)
_CNN14_16K = replace(
    _WAVEGRAM,
    name="panns-cnn14-16k",
    title="PANNs CNN14 (16 kHz), after fc1 and ReLU, one vector a clip",
    network="panns-cnn14-16k",
    weights=("panns-cnn14-16k",),
    entry=f"{_HERE}.panns:load_cnn14_16k",
    front_end=_PANNS_16K,
    source="haoheliu/audioldm_eval@8dc07ee, audioldm_eval/datasets/load_mel.py and feature_extractors/panns",
)
_CNN14_16K_UNPADDED = replace(
    _CNN14_16K,
    name="panns-cnn14-16k-unpadded",
    title="PANNs CNN14 (16 kHz), after fc1 and ReLU, one vector a clip, short clips not padded",
    network="panns-cnn14-16k-unpadded",
    entry=f"{_HERE}.panns:load_cnn14_16k_unpadded",
    front_end={**_PANNS_16K, "padded_to_s": 0},
    source="hkchengrex/av-benchmark@050a5cd, av_bench/data/audio_dataset.py and av_bench/extract.py",
)
_VGGISH = EmbedderCard(
    name="vggish",
    title="VGGish without PCA and without the port's last ReLU, one vector every 0.96 s",
    kind="audio",
    network="vggish",
    output="embedding",
    dimension=128,
    weights=("vggish",),
    entry=f"{_HERE}.vggish:load_vggish",
    front_end={
        "sample_rate": 16000,
        "resampler": _KAISER,
        "quantised": "pcm16",
        "padded_to_s": 1,
    },
    source="microsoft/fadtk@ec74b1f, fadtk/model_loader.py, VGGishModel",
)

_LAION_AUDIO = EmbedderCard(
    name="laion-clap-audio",
    title="LAION CLAP 630k-audioset-best (HTSAT-tiny), unit length, one vector a second",
    kind="audio",
    network="laion-clap-audio",
    output="embedding",
    dimension=512,
    weights=("laion-clap-630k",),
    entry=f"{_HERE}.laion_clap:load_audio",
    front_end={
        "sample_rate": 48000,
        "resampler": _KAISER,
        "quantised": "pcm16, then cut to 16 bits",
        "window_s": 10,
        "hop_s": 1,
    },
    source="DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/model_loader.py, CLAPLaionModel",
)
_LAION_BASE = replace(
    _LAION_AUDIO,
    name="laion-clap-htsat-base",
    title="LAION CLAP music_speech_audioset 89.98 (HTSAT-base), unit length, the first 10 s",
    network="laion-clap-htsat-base",
    weights=("laion-clap-music-speech",),
    entry=f"{_HERE}.laion_clap:load_htsat_base",
    front_end={
        "sample_rate": 48000,
        "resampler": "soxr HQ to 16 kHz, torchaudio hann to 48 kHz",
        "padded_to_s": 10.24,
        "window_s": 10,
    },
    source="jnwnlee/video-foley@0afd45a, evaluate_v2s.py",
)
_LAION_TEXT = replace(
    _LAION_BASE,
    kind="text",
    title="LAION CLAP music_speech_audioset 89.98, text tower (RoBERTa), unit length",
    network="laion-clap-htsat-base-text",
    weights=("laion-clap-music-speech", "roberta-base-vocab", "roberta-base-merges"),
    entry=f"{_HERE}.laion_clap:load_text",
    front_end={"tokens": 77},
    source="LAION-AI/CLAP@1fd4c37, src/laion_clap/hook.py, get_text_embedding",
)
_LAION_FUSION = replace(
    _LAION_AUDIO,
    name="laion-clap-fusion",
    title="LAION CLAP 630k-audioset-fusion-best (HTSAT-tiny with fusion), unit length, one vector a clip",
    network="laion-clap-fusion",
    weights=("laion-clap-630k-fusion",),
    entry=f"{_HERE}.laion_clap:load_fusion",
    front_end={
        "sample_rate": 48000,
        "resampler": "soxr HQ",
        "peak_db": -1.0,
        "quantised": "cut to 16 bits",
        "fusion_pieces": "middle of each third",
    },
    source="Stability-AI/stable-audio-metrics@fd55536, src/clap_score.py; package laion-clap 1.1.7",
    note="The package takes the three pieces of a sound of more than 10 s at random places of their thirds.",
)
_MSCLAP = EmbedderCard(
    name="msclap-2023",
    title="MS-CLAP 2023 (HTSAT-tiny), projected, not of unit length, one vector a second",
    kind="audio",
    network="msclap-2023",
    output="embedding",
    dimension=1024,
    weights=("msclap-2023",),
    entry=f"{_HERE}.msclap:load_audio",
    front_end={"sample_rate": 44100, "resampler": _KAISER, "quantised": "pcm16", "window_s": 7, "hop_s": 1},
    source="DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/model_loader.py, CLAPModel",
)

_PASST = EmbedderCard(
    name="passt",
    title="PaSST passt_s_swa_p16_128_ap476, 768 features of one window of 10 s",
    kind="audio",
    network="passt",
    output="embedding",
    dimension=768,
    weights=("passt",),
    entry=f"{_HERE}.passt:load_passt",
    front_end={
        "sample_rate": 32000,
        "resampler": "torchaudio hann width 6 rolloff 0.99",
        "mean_removed": True,
        "window_s": 10,
    },
    source="hkchengrex/av-benchmark@050a5cd, av_bench/extract.py; kkoutini/passt_hear21@5f1cce6",
)
_PASST_LOGITS = replace(_PASST, name="passt-logits", title="its 527 logits", output="logits", dimension=527)

_CARDS = (
    _WAVEGRAM,
    replace(
        _WAVEGRAM, name="panns-wavegram-logmel-logits", title="its 527 logits", output="logits", dimension=527
    ),
    _CNN14_32K,
    replace(_CNN14_32K, name="panns-cnn14-32k-logits", title="its 527 logits", output="logits", dimension=527),
    _CNN14_16K,
    replace(_CNN14_16K, name="panns-cnn14-16k-logits", title="its 527 logits", output="logits", dimension=527),
    _CNN14_16K_UNPADDED,
    replace(
        _CNN14_16K_UNPADDED,
        name="panns-cnn14-16k-unpadded-logits",
        title="its 527 logits",
        output="logits",
        dimension=527,
    ),
    _VGGISH,
    replace(
        _VGGISH,
        name="vggish-relu",
        title="VGGish without PCA, with the port's last ReLU, one vector every 0.96 s (FAVD, PEAVS)",
        network="vggish-favd",
        output="relu",
        entry=f"{_HERE}.vggish:load_vggish_favd",
        front_end={
            "sample_rate": 16000,
            "resampler": "resampy kaiser_best",
            "quantised": "pcm16 before resampling",
        },
        source="amazon-science/avgen-eval-toolkit@9cf014b, PEAVS/av_features_extraction/models/vggish",
    ),
    _PASST,
    _PASST_LOGITS,
    replace(
        _PASST_LOGITS,
        name="passt-segments-logits",
        title="PaSST, 527 logits of each segment of 10 s, the last one not padded",
        network="passt-segments",
        entry=f"{_HERE}.passt:load_passt_segments",
        front_end={
            "sample_rate": 32000,
            "resampler": "torchaudio hann width 24 rolloff 0.945 (julius)",
            "segment_s": 10,
            "shortest_segment_s": 0.15,
        },
        source="ilpoviertola/eval_generative_v2a_models@4410865, metrics/kld.py",
    ),
    replace(
        _PASST_LOGITS,
        name="passt-windows-logits",
        title="PaSST, 527 logits of windows of 10 s every 5 s",
        network="passt-windows",
        entry=f"{_HERE}.passt:load_passt_windows",
        front_end={
            "sample_rate": 32000,
            "resampler": "soxr HQ",
            "peak_db": -1.0,
            "window_s": 10,
            "hop_s": 5,
        },
        source="Stability-AI/stable-audio-metrics@fd55536, src/passt_kld.py",
    ),
    _LAION_AUDIO,
    replace(
        _LAION_AUDIO,
        name="laion-clap-music",
        title="LAION CLAP music_audioset 90.14 (HTSAT-base), unit length, one vector a second",
        network="laion-clap-music",
        weights=("laion-clap-music",),
        entry=f"{_HERE}.laion_clap:load_music",
    ),
    _LAION_BASE,
    _LAION_FUSION,
    _LAION_TEXT,
    replace(
        _LAION_TEXT,
        name="laion-clap-fusion",
        title="LAION CLAP 630k-audioset-fusion-best, text tower (RoBERTa), unit length",
        network="laion-clap-fusion-text",
        weights=("laion-clap-630k-fusion", "roberta-base-vocab", "roberta-base-merges"),
        entry=f"{_HERE}.laion_clap:load_fusion_text",
    ),
    replace(
        _LAION_TEXT,
        name="laion-clap-htsat-base-empty",
        title="LAION CLAP music_speech_audioset 89.98, the empty text",
        network="laion-clap-htsat-base-empty",
        weights=("laion-clap-music-speech",),
        entry=f"{_HERE}.laion_clap:load_empty_text",
    ),
    _MSCLAP,
    replace(
        _MSCLAP,
        kind="text",
        title="MS-CLAP 2023, text tower (GPT-2), projected, not of unit length",
        network="msclap-2023-text",
        weights=("msclap-2023", "gpt2-vocab", "gpt2-merges"),
        entry=f"{_HERE}.msclap:load_text",
        front_end={"tokens": 77},
        source="microsoft/CLAP@e8a6467, msclap/CLAPWrapper.py, get_text_embeddings",
    ),
)

_I3D = EmbedderCard(
    name="i3d",
    title="I3D, RGB and PWC-Net flow features added, one vector every 0.96 s",
    kind="video",
    network="i3d",
    output="embedding",
    dimension=1024,
    weights=("i3d-rgb", "i3d-flow", "pwc-net"),
    entry=f"{_HERE}.i3d:load_i3d",
    front_end={"frame_rate": 25.0, "short_side": 256, "crop": 224, "stack": 24, "flow": "PWC-Net (Sintel)"},
    source="amazon-science/avgen-eval-toolkit@9cf014b, PEAVS/av_features_extraction/models/i3d",
    frame_rate=25.0,
)
_VIDEO_CARDS = (
    _I3D,
    replace(
        _I3D,
        name="i3d-raft",
        title="I3D, RGB and RAFT flow features added, one vector every 0.96 s",
        network="i3d-raft",
        weights=("i3d-rgb", "i3d-flow", "raft-large"),
        entry=f"{_HERE}.i3d:load_i3d_raft",
        front_end={**_I3D.front_end, "flow": "torchvision raft_large C_T_SKHT_V2"},
        official=False,
        note="RAFT stands in for PWC-Net: FAVD with it is not comparable with published values.",
    ),
    replace(
        _I3D,
        name="i3d-rgb",
        title="I3D, RGB features alone, one vector every 0.96 s",
        network="i3d-rgb",
        weights=("i3d-rgb",),
        entry=f"{_HERE}.i3d:load_i3d_rgb",
        front_end={**_I3D.front_end, "flow": "none"},
        official=False,
        note="Half of what FAVD takes; not comparable with published values.",
    ),
)

_PEAVS = EmbedderCard(
    name="peavs",
    title="PEAVS' regression network on VGGish and I3D rows, its raw output",
    kind="pair",
    network="peavs",
    output="output",
    dimension=1,
    weights=("peavs",),
    entry=f"{_HERE}.peavs:load_peavs",
    front_end={"batch": 1},
    source="amazon-science/avgen-eval-toolkit@9cf014b, PEAVS/net/av_sync_Model.py",
    takes=("vggish-relu", "i3d"),
)
_PAIR_CARDS = (
    _PEAVS,
    replace(
        _PEAVS,
        name="peavs-raft",
        title="PEAVS' regression network on VGGish and I3D rows with RAFT flow, its raw output",
        network="peavs-raft",
        takes=("vggish-relu", "i3d-raft"),
        official=False,
        note="RAFT stands in for PWC-Net: not comparable with published values.",
    ),
)


@cache
def embedders(kind: Kind) -> Mapping[str, EmbedderCard]:
    """Return the cards of one kind by name; other packages add theirs by ``clapstick.embedders`` entry points.

    Raises
    ------
    ImportError
        If an outside package's entry point fails to load; the message names the package.
    ValueError
        If two embedders claim one name.
    """
    found: dict[str, EmbedderCard] = {}
    for card in (*_CARDS, *_VIDEO_CARDS, *_PAIR_CARDS, *_outside_cards()):
        if card.kind != kind:
            continue
        if card.name in found:
            raise ValueError(f"two {kind} embedders are called {card.name!r}")
        found[card.name] = card
    return found


def embedder(name: str, kind: Kind = "audio") -> EmbedderCard:
    """Return one card; raise `NotComputableError` that lists the names where there is none."""
    cards = embedders(kind)
    if name not in cards:
        raise NotComputableError(f"no {kind} embedder is called {name!r}; there are {', '.join(cards)}")
    return cards[name]


def load_embedder(name: str, weights: Mapping[str, Path], device: str = "cpu", kind: Kind = "audio") -> Any:
    """Load an embedder's network from its official files.

    Parameters
    ----------
    name
        One of `embedders`.
    weights
        Weight name -> local file, for every name in the card's `weights`.
    device
        ``cpu``, ``cuda`` or ``cuda:0``.
    kind
        CLAP models have an audio and a text embedder of one name.

    Returns
    -------
    AudioEmbedder, VideoEmbedder, TextEmbedder or PairEmbedder
        By the card's `kind`.

    Raises
    ------
    NotComputableError
        If a file is missing, damaged, unsafe or for another model (`WrongWeightsError`), or an optional package
        is missing.
    """
    card = embedder(name, kind)
    missing = [weight for weight in card.weights if weight not in weights]
    if missing:
        raise NotComputableError(
            f"{name} needs the weights {', '.join(missing)}: `clapstick weights fetch {' '.join(missing)}`"
        )
    module, function = card.entry.split(":")
    load = getattr(importlib.import_module(module), function)
    return load({weight: weights[weight] for weight in card.weights}, device)


def _outside_cards() -> list[EmbedderCard]:
    cards: list[EmbedderCard] = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        package = entry.dist.name if entry.dist else entry.value
        try:
            loaded = entry.load()
        except Exception as error:
            raise ImportError(
                f"embedder {entry.name!r} of package {package} does not load: {error}. "
                f"Mend or uninstall {package}."
            ) from error
        cards.extend([loaded] if isinstance(loaded, EmbedderCard) else loaded)
    return cards
