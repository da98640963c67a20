"""The embedding cache: what it keeps, what it must never give back, and what it says of broken input."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from clapstick.harness import embedding_cache
from clapstick.harness.cli import build_app
from clapstick.harness.embedding_cache import EmbeddingCache, embed_clips, key_of
from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders import registry
from clapstick.metrics.embedders.base import AudioEmbedder, EmbedderCard, require_samples
from clapstick.protocols.audio import Audio, write_wav
from clapstick.protocols.problems import ClapstickError

RATE = 8000
LOADS: list[str] = []


def _load_toy(weights: dict[str, Path], device: str) -> AudioEmbedder:
    """Level and peak of every 0.1 s, times a factor that the weights hold: a network that fits in two lines."""
    LOADS.append(device)
    factor = float(weights["toy"].read_text())

    def windows(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
        require_samples(waveform, 800, sample_rate, "the toy")
        return waveform[: len(waveform) // 800 * 800].reshape(-1, 800)

    def forward(rows: torch.Tensor) -> dict[str, torch.Tensor]:
        level = rows.square().mean(dim=1).sqrt()
        return {"embedding": factor * torch.stack([level, rows.abs().amax(dim=1)], 1), "level": level[:, None]}

    return AudioEmbedder(windows, forward, device, batch_rows=7)


def _card(name: str, output: str, dimension: int, **changes: Any) -> EmbedderCard:
    facts: dict[str, Any] = {"front_end": {"sample_rate": RATE}} | changes
    return EmbedderCard(
        name=name,
        title=name,
        kind="audio",
        network="toy",
        output=output,
        dimension=dimension,
        weights=("toy",),
        entry="toy_embedders:load",
        source="this test",
        **facts,
    )


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("toy_embedders")
    module.load = _load_toy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_embedders", module)
    _use(monkeypatch, _card("toy", "embedding", 2), _card("toy-level", "level", 1))
    LOADS.clear()
    yield
    monkeypatch.undo()
    registry.embedders.cache_clear()


def _use(monkeypatch: pytest.MonkeyPatch, *cards: EmbedderCard) -> None:
    monkeypatch.setattr(registry, "_CARDS", cards)
    registry.embedders.cache_clear()


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache")


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "toy.txt"
    path.write_text("2.0")
    return {"toy": path}


def _wav(path: Path, samples: np.ndarray) -> Path:
    write_wav(path, Audio(np.asarray(samples, dtype=np.float32).reshape(-1, 1), RATE))
    return path


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    return [
        _wav(tmp_path / f"{index}.wav", 0.1 * rng.standard_normal(1600 + 800 * (index % 3)))
        for index in range(10)
    ]


def test_embedding_by_hand(tmp_path: Path, cache: EmbeddingCache, weights: dict[str, Path]) -> None:
    # 0.1 s of 0.5 and 0.1 s of -0.25: levels 0.5 and 0.25, peaks the same, times 2.
    path = _wav(tmp_path / "steps.wav", np.repeat([0.5, -0.25], 800))
    (found,) = embed_clips([path], "toy", weights, cache=cache)
    assert found.read() == pytest.approx(np.array([[1.0, 1.0], [0.5, 0.5]]), abs=1e-6)


def test_second_time_comes_from_the_cache_without_the_network(
    clips: list[Path], cache: EmbeddingCache, weights: dict[str, Path]
) -> None:
    first = embed_clips(clips, "toy", weights, cache=cache, batch_size=4)
    second = embed_clips(clips[::-1], "toy", weights, cache=cache, batch_size=3)
    assert LOADS == ["cpu"]
    assert [found.path for found in second] == [found.path for found in first][::-1]


def test_one_pass_serves_every_embedder_of_the_network(
    clips: list[Path], cache: EmbeddingCache, weights: dict[str, Path]
) -> None:
    both = embed_clips(clips, "toy", weights, cache=cache)
    level = embed_clips(clips, "toy-level", weights, cache=cache)
    assert LOADS == ["cpu"]
    for one, other in zip(both, level, strict=True):
        assert one.path != other.path
        assert np.array_equal(one.read()[:, :1], 2 * other.read())


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_change_nothing(
    clips: list[Path], tmp_path: Path, weights: dict[str, Path], batch_size: int
) -> None:
    one = embed_clips(clips, "toy", weights, cache=EmbeddingCache(tmp_path / "one"), batch_size=5)
    other = embed_clips(clips, "toy", weights, cache=EmbeddingCache(tmp_path / "two"), batch_size=batch_size)
    for left, right in zip(one, other, strict=True):
        assert np.allclose(left.read(), right.read(), rtol=1e-6, atol=0)


def test_changed_sound_never_gives_the_old_embedding(
    tmp_path: Path, cache: EmbeddingCache, weights: dict[str, Path]
) -> None:
    path = tmp_path / "same name.wav"
    seen: set[Path | None] = set()
    for level in (0.1, 0.2, 0.3):
        _wav(path, np.full(1600, level))
        (found,) = embed_clips([path], "toy", weights, cache=cache)
        assert found.read() == pytest.approx(np.full((2, 2), 2 * level), rel=1e-6)
        seen.add(found.path)
    assert len(seen) == 3


def test_one_sample_is_enough_of_a_change(
    tmp_path: Path, cache: EmbeddingCache, weights: dict[str, Path]
) -> None:
    samples = np.full(1600, 0.1)
    path = _wav(tmp_path / "a.wav", samples)
    stat = path.stat()
    (before,) = embed_clips([path], "toy", weights, cache=cache)
    samples[700] = 0.9
    _wav(path, samples)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (after,) = embed_clips([path], "toy", weights, cache=cache)
    assert before.path != after.path
    assert after.read()[0, 1] == pytest.approx(1.8)


def test_other_weights_front_end_or_library_are_other_embeddings(
    clips: list[Path],
    cache: EmbeddingCache,
    weights: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def embed() -> Path | None:
        return embed_clips(clips[:1], "toy", weights, cache=cache)[0].path

    seen = [embed()]
    weights["toy"].write_text("3.00")
    seen.append(embed())
    _use(monkeypatch, _card("toy", "embedding", 2, front_end={"sample_rate": RATE, "quantised": "pcm16"}))
    seen.append(embed())
    monkeypatch.setattr(embedding_cache, "library_versions", lambda: {"torch": "0"})
    seen.append(embed())
    assert len(set(seen)) == 4
    assert len(LOADS) == 4


def test_broken_sounds_have_reasons_and_spoil_no_others(
    clips: list[Path], tmp_path: Path, cache: EmbeddingCache, weights: dict[str, Path]
) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound at all")
    broken = {
        _wav(tmp_path / "empty.wav", np.zeros((0, 1))): "empty: 0 samples",
        _wav(tmp_path / "nan.wav", np.full(1600, np.nan)): "NaN or infinite",
        _wav(tmp_path / "short.wav", np.zeros(799)): r"too short for the toy: 799 samples.*needs 800",
        text: "cannot be read as sound",
        tmp_path / "missing.wav": "cannot be read",
    }
    found = embed_clips([*broken, *clips], "toy", weights, cache=cache, batch_size=3)
    for result, reason in zip(found, broken.values(), strict=False):
        assert result.path is None
        with pytest.raises(NotComputableError, match=reason):
            result.read()
    assert all(result.path is not None for result in found[len(broken) :])


def test_silence_and_constant_sound_are_embedded(
    tmp_path: Path, cache: EmbeddingCache, weights: dict[str, Path]
) -> None:
    path = _wav(tmp_path / "silence.wav", np.zeros(1600))
    (found,) = embed_clips([path], "toy", weights, cache=cache)
    assert np.array_equal(found.read(), np.zeros((2, 2)))


def test_no_clips(cache: EmbeddingCache, weights: dict[str, Path]) -> None:
    assert embed_clips([], "toy", weights, cache=cache) == []


def test_unknown_embedder_and_missing_weights(clips: list[Path], cache: EmbeddingCache) -> None:
    with pytest.raises(NotComputableError, match="no audio embedder is called 'tiy'; there are toy"):
        embed_clips(clips, "tiy", {}, cache=cache)
    with pytest.raises(NotComputableError, match="clapstick weights fetch toy"):
        embed_clips(clips, "toy", {}, cache=cache)


def test_damaged_file_is_made_again(clips: list[Path], cache: EmbeddingCache, weights: dict[str, Path]) -> None:
    (whole,) = embed_clips(clips[:1], "toy", weights, cache=cache)
    wanted = whole.read()
    assert whole.path is not None
    whole.path.write_bytes(whole.path.read_bytes()[:-5])
    (again,) = embed_clips(clips[:1], "toy", weights, cache=cache)
    assert np.array_equal(again.read(), wanted)


def test_many_writers_of_one_key(cache: EmbeddingCache) -> None:
    parts = {"embedder": "toy", "content_sha256": "0" * 64}
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: cache.put(parts, rows), range(24)))
    assert paths == {cache.path(key_of(parts))}
    assert cache.find(key_of(parts)) is not None
    assert [path.suffix for path in (cache.folder / key_of(parts)[:2]).iterdir() if path.suffix == ".tmp"] == []


def test_command_line(
    clips: list[Path], weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLAPSTICK_CACHE", str(tmp_path / "user"))
    embed_clips(clips, "toy", weights, cache=EmbeddingCache())
    run, app = CliRunner(), build_app()
    shown = json.loads(run.invoke(app, ["cache", "show", "--json"]).stdout)
    assert {row["embedder"]: row["embeddings"] for row in shown["embedders"]} == {"toy": 10, "toy-level": 10}
    key = shown["embedders"][0]["keys"][0]
    explained = json.loads(run.invoke(app, ["cache", "explain", key, "--json"]).stdout)
    assert explained["key"] == key
    assert explained["front_end"] == {"sample_rate": RATE}
    unknown = run.invoke(app, ["cache", "explain", "nothing"])
    assert isinstance(unknown.exception, ClapstickError)
    cleared = json.loads(run.invoke(app, ["cache", "clear", "--embedder", "toy-level", "--json"]).stdout)
    assert cleared["removed"] == 10
    left = json.loads(run.invoke(app, ["cache", "show", "--json"]).stdout)
    assert [row["embedder"] for row in left["embedders"]] == ["toy"]
    run.invoke(app, ["cache", "clear"])
    assert list(EmbeddingCache().entries()) == []
