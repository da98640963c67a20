"""From words to a CLAP score, with tokenizer files made here, without a network."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

from clapstick.metrics.base import ClipInput, NotComputableError
from clapstick.metrics.clap_score import METRIC as CLAP_SCORE
from clapstick.metrics.embedders import laion_clap, msclap
from clapstick.metrics.embedders.registry import load_embedder

CORPUS = ["a drumstick hits wood", "a drumstick hits metal", "somebody scratches a stick on gravel"] * 20
WORDS = 300
Made = tuple[dict[str, Path], dict[str, int]]


def _tokenizer_files(folder: Path, special: list[str]) -> Made:
    """Train a byte-level BPE tokenizer; `special` get the first numbers."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(CORPUS, vocab_size=WORDS, special_tokens=special, show_progress=False)
    folder.mkdir()
    vocabulary, merges = (Path(name) for name in tokenizer.save_model(str(folder)))
    return {"vocab": vocabulary, "merges": merges}, json.loads(vocabulary.read_text(encoding="utf-8"))


@pytest.fixture
def roberta(tmp_path: Path) -> Made:
    """Files in the form of roberta-base: <s>, <pad>, </s>, <unk>, <mask> in front."""
    return _tokenizer_files(tmp_path / "roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])


@pytest.fixture
def gpt2(tmp_path: Path) -> Made:
    """Files in the form of gpt2: ``!`` is number 0, the end mark comes last."""
    files, vocabulary = _tokenizer_files(tmp_path / "gpt2", [])
    vocabulary["<|endoftext|>"] = len(vocabulary)
    files["vocab"].write_text(json.dumps(vocabulary), encoding="utf-8")
    return files, vocabulary


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("touched the network")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def small_towers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text towers of one layer; the parity tests have them at full size."""
    # transformers imports lazily and would put its own names back: have it import all before.
    assert transformers.RobertaModel, transformers.GPT2Model
    assert transformers.RobertaTokenizerFast, transformers.GPT2TokenizerFast
    roberta, gpt2 = transformers.RobertaConfig, transformers.GPT2Config

    def small_roberta(**settings: Any) -> Any:
        return roberta(**{**settings, "vocab_size": WORDS, "num_hidden_layers": 1, "intermediate_size": 64})

    def small_gpt2() -> Any:
        return gpt2(vocab_size=WORDS + 1, n_layer=1, n_inner=64)

    monkeypatch.setattr(transformers, "RobertaConfig", small_roberta)
    monkeypatch.setattr(transformers, "GPT2Config", small_gpt2)


def _laion(
    rules: ModuleType, roberta: Made, tmp_path: Path, name: str = "laion-clap-music-speech"
) -> dict[str, Path]:
    network = laion_clap.ClapText()
    rules.fill(network)
    state = network.state_dict()
    path = tmp_path / f"{name}.pt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    files = roberta[0]
    return {name: path, "roberta-base-vocab": files["vocab"], "roberta-base-merges": files["merges"]}


def _msclap(rules: ModuleType, gpt2: Made, tmp_path: Path) -> dict[str, Path]:
    network = msclap.MsclapText()
    rules.fill(network)
    state = network.state_dict()
    path = tmp_path / "CLAP_weights_2023.pth"
    torch.save({"model": {f"caption_encoder.{key}": value for key, value in state.items()}}, path)
    return {"msclap-2023": path, "gpt2-vocab": gpt2[0]["vocab"], "gpt2-merges": gpt2[0]["merges"]}


@pytest.mark.usefixtures("offline")
def test_roberta_tokens(roberta: Made) -> None:
    files, vocabulary = roberta
    tokenize = laion_clap._tokenizer(files["vocab"], files["merges"])
    # "hits" and "wood" come often enough to have become one token each, with the space before it.
    empty, words, long = tokenize(["", "drumstick hits wood", "wood " * 100])
    assert empty.tolist() == [0, 2] + [1] * 75
    numbers = [vocabulary[token] for token in ("Ġhits", "Ġwood")]
    start = words.tolist().index(2) - 2
    assert words[start : start + 3].tolist() == [*numbers, 2]
    assert (words[0], words[-1]) == (0, 1)
    assert (len(long), long[0], long[-1]) == (77, 0, 2)


@pytest.mark.usefixtures("offline")
def test_gpt2_tokens(gpt2: Made) -> None:
    files, vocabulary = gpt2
    assert vocabulary["!"] == 0
    (tokens,) = msclap._tokenizer(files["vocab"], files["merges"])(["a drumstick hits wood"])
    # An end mark of its own after the text, then the padding "!" up to 77.
    assert len(tokens) == 77
    end = tokens.tolist().index(vocabulary["<|endoftext|>"])
    assert not tokens[end + 1 :].any()
    assert tokens[:end].all()
    assert vocabulary["Ġwood"] in tokens[:end]


@pytest.mark.usefixtures("offline", "small_towers")
@pytest.mark.parametrize(
    ("convention", "embedder", "checkpoint"),
    [
        ("text", "laion-clap-htsat-base", "laion-clap-music-speech"),
        ("stable-audio-metrics", "laion-clap-fusion", "laion-clap-630k-fusion"),
        ("msclap-text", "msclap-2023", ""),
    ],
)
def test_words_to_score(
    convention: str,
    embedder: str,
    checkpoint: str,
    rules: ModuleType,
    roberta: Made,
    gpt2: Made,
    tmp_path: Path,
) -> None:
    weights = _laion(rules, roberta, tmp_path, checkpoint) if checkpoint else _msclap(rules, gpt2, tmp_path)
    tower = load_embedder(embedder, weights, kind="text")
    texts = ["a drumstick hits wood", "somebody scratches gravel", "a drumstick hits wood"]
    wood, gravel, again = (found["embedding"] for found in tower.embed(texts))
    np.testing.assert_array_equal(wood, again)
    np.testing.assert_allclose(tower.embed(texts[:1])[0]["embedding"], wood, atol=1e-5)
    assert np.abs(wood - gravel).max() > 1e-3

    def score(sound: np.ndarray) -> float:
        clip = ClipInput(
            "clip",
            np.zeros(1),
            16_000,
            text=texts[0],
            text_embeddings={embedder: wood},
            generated_embeddings={embedder: sound},
        )
        return float(CLAP_SCORE.convention(convention).statistics(clip)["value"])

    # A sound embedded as the text is scores 1, its opposite -1, as another text is in between.
    assert score(wood) == pytest.approx(1.0)
    assert score(-wood) == pytest.approx(-1.0)
    assert score(gravel) < 0.9999


@pytest.mark.usefixtures("offline", "small_towers")
def test_the_empty_text_needs_no_tokenizer(rules: ModuleType, roberta: Made, tmp_path: Path) -> None:
    weights = _laion(rules, roberta, tmp_path)
    with_files = load_embedder("laion-clap-htsat-base", weights, kind="text").embed([""])[0]["embedding"]
    checkpoint = {"laion-clap-music-speech": weights["laion-clap-music-speech"]}
    without = load_embedder("laion-clap-htsat-base-empty", checkpoint, kind="text").embed(["anything"])
    np.testing.assert_allclose(without[0]["embedding"], with_files, atol=1e-6)


@pytest.mark.parametrize(
    ("embedder", "missing"),
    [
        ("laion-clap-htsat-base", "roberta-base-vocab roberta-base-merges"),
        ("laion-clap-fusion", "roberta-base-vocab roberta-base-merges"),
        ("msclap-2023", "gpt2-vocab gpt2-merges"),
    ],
)
def test_missing_tokenizer_files_name_the_command(embedder: str, missing: str, tmp_path: Path) -> None:
    checkpoints = ("laion-clap-music-speech", "laion-clap-630k-fusion", "msclap-2023")
    weights = dict.fromkeys(checkpoints, tmp_path / "checkpoint.pt")
    with pytest.raises(NotComputableError, match=f"clapstick weights fetch {missing}`"):
        load_embedder(embedder, weights, kind="text")
