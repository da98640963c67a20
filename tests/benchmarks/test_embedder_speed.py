"""Throughput of embedders against the official classes fed clip by clip: same weights, one thread, one process.

Processor time is compared, so that other work on the machine does not decide the ratio.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest
import torch

from clapstick.harness.embedding_cache import EmbeddingCache, embed_clips
from clapstick.metrics.embedders.base import AudioEmbedder, EmbedderCard
from clapstick.metrics.embedders.registry import load_embedder
from clapstick.protocols.audio import Audio, write_wav

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

CLIPS = 8
SECONDS = 10
WANTED_RATIO = 1.5
RULES = Path(__file__).parents[1] / "parity" / "fixtures" / "rule_weights.py"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rule_weights", RULES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _seconds(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _compare(name: str, official: Callable[[], np.ndarray], ours: Callable[[], np.ndarray]) -> None:
    """Alternate the two ways three times; compare results and the smaller times."""
    official(), ours()
    runs = [(_seconds(official), _seconds(ours)) for _ in range(3)]
    expected, found = runs[0][0][1], runs[0][1][1]
    assert np.linalg.norm(found - expected) < 5e-5 * np.linalg.norm(expected)
    theirs, mine = min(run[0][0] for run in runs), min(run[1][0] for run in runs)
    audio = CLIPS * SECONDS
    sys.stdout.write(
        f"\n{name}: {audio / mine:.1f} s of sound a second, official class {audio / theirs:.1f}, "
        f"ratio {theirs / mine:.2f}\n"
    )
    assert theirs / mine >= WANTED_RATIO


def test_panns_against_the_official_class(rules: ModuleType, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audio = pytest.importorskip("msclap.models.audio", reason="needs clapstick[official]")
        network = audio.Cnn14(32000, 1024, 320, 64, 50, 14000, 527, 2048).eval()
    rules.fill(network)
    path = tmp_path / "Cnn14_mAP=0.431.pth"
    torch.save({"model": network.state_dict()}, path)
    ours: AudioEmbedder = load_embedder("panns-cnn14-32k", {"panns-cnn14-32k": path})
    clips = [rules.waveform(SECONDS, 32000, index) for index in range(CLIPS)]

    def one_by_one() -> np.ndarray:
        with torch.no_grad():
            return np.concatenate(
                [network(torch.from_numpy(clip)[None])["embedding"].numpy() for clip in clips]
            )

    def batched() -> np.ndarray:
        return np.concatenate([found["embedding"] for found in ours.embed(clips, sample_rate=32000)])

    _compare("PANNs CNN14", one_by_one, batched)


def test_vggish_against_the_official_class(rules: ModuleType, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        official = pytest.importorskip("torchvggish.torchvggish", reason="needs clapstick[official]")
        examples = pytest.importorskip("torchvggish.vggish_input", reason="needs clapstick[official]")
    network = official._vgg(postprocess=False).eval()
    rules.fill(network)
    path = tmp_path / "vggish-10086976.pth"
    torch.save(network.state_dict(), path)
    ours: AudioEmbedder = load_embedder("vggish", {"vggish": path})
    clips = [rules.waveform(SECONDS, 16000, index) for index in range(CLIPS)]

    def one_by_one() -> np.ndarray:
        with torch.no_grad():
            patches = [examples.waveform_to_examples(clip.astype(np.float64), 16000) for clip in clips]
            return np.concatenate([network(patch).numpy() for patch in patches])

    def batched() -> np.ndarray:
        return np.concatenate([found["relu"] for found in ours.embed(clips, sample_rate=16000)])

    _compare("VGGish", one_by_one, batched)


def _load_level(weights: dict[str, Path], device: str) -> AudioEmbedder:
    def forward(rows: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"embedding": rows.reshape(len(rows), -1, 16).square().mean(dim=2)}

    return AudioEmbedder(lambda waveform, sample_rate: waveform[None], forward, device)


def test_memory_stays_flat_from_100_to_5000_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clapstick.metrics.embedders import registry

    module = ModuleType("level_embedder")
    module.load = _load_level  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "level_embedder", module)
    card = EmbedderCard(
        "level", "level", "audio", "level", "embedding", 2048, (), "level_embedder:load", {}, "this benchmark"
    )
    monkeypatch.setattr(registry, "_CARDS", (card,))
    registry.embedders.cache_clear()
    rng = np.random.default_rng(0)
    paths = []
    for index in range(5000):
        paths.append(tmp_path / f"{index}.wav")
        samples = rng.standard_normal((2048 * 16, 1)).astype(np.float32)
        write_wav(paths[-1], Audio(samples, 32768))
    process = psutil.Process()
    cache = EmbeddingCache(tmp_path / "cache")
    embed_clips(paths[:100], "level", {}, cache=cache)
    after_100 = process.memory_info().rss
    found = embed_clips(paths, "level", {}, cache=cache)
    grown = process.memory_info().rss - after_100
    registry.embedders.cache_clear()
    everything = sum(path.stat().st_size for path in paths)
    sys.stdout.write(
        f"\n5,000 clips of {everything / 1e6:.0f} MB: memory grew by {grown / 1e6:.1f} MB over 100 clips\n"
    )
    assert all(result.path is not None for result in found)
    assert grown < 0.1 * everything
