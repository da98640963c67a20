"""What holds for every metric and every convention, built in or added later."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from safetensors.numpy import load, save

import clapstick.metrics
from clapstick.metrics.base import ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.registry import metrics
from clapstick.metrics.signature import Signature, parse_signature

Maker = Callable[[int], ClipInput]
Result = TypeVar("Result")
EVERY = [(metric, convention) for metric in metrics().values() for convention in metric.conventions]
IDS = [f"{metric.name}@{convention.name}" for metric, convention in EVERY]
every_convention = pytest.mark.parametrize(("metric", "convention"), EVERY, ids=IDS)

LARGE_SETS = ("no-replacement", "subsets")
"""Conventions that need hundreds of frames by definition."""
CLIPS = 14


def _statistics(convention: Convention, clips: Sequence[ClipInput]) -> list[Statistics]:
    return [convention.statistics(clip) for clip in clips]


def _clips(make: Maker, convention: Convention) -> list[ClipInput]:
    if convention.name.endswith(LARGE_SETS):
        return [_many_frames(make(number), number) for number in range(6)]
    return [make(number) for number in range(CLIPS)]


def _many_frames(clip: ClipInput, number: int) -> ClipInput:
    """Give a clip 100 frames of every embedding."""
    rng = np.random.default_rng([5, number])

    def repeat(embeddings: object) -> dict[str, np.ndarray]:
        assert isinstance(embeddings, dict)
        return {name: rng.normal(rows.mean(), 1, (100, rows.shape[1])) for name, rows in embeddings.items()}

    generated = repeat(clip.generated_embeddings)
    same = clip.generated_embeddings is clip.reference_embeddings
    return replace(
        clip,
        generated_embeddings=generated,
        reference_embeddings=generated if same else repeat(clip.reference_embeddings),
    )


@every_convention
def test_value_is_finite_and_in_range(metric: Metric, convention: Convention, full_clip: Maker) -> None:
    statistics = _statistics(convention, _clips(full_clip, convention))
    value = convention.combiner.value(statistics)
    assert np.isfinite(value)
    assert metric.low is None or value >= metric.low
    assert metric.high is None or value <= metric.high
    for warning in convention.combiner.warnings(statistics):
        assert warning.endswith(".")


@every_convention
def test_statistics_can_be_kept(metric: Metric, convention: Convention, full_clip: Maker) -> None:
    clip = _clips(full_clip, convention)[0]
    statistics = convention.statistics(clip)
    stored = load(save({name: np.ascontiguousarray(array) for name, array in statistics.items()}))
    assert stored.keys() == statistics.keys()
    for name, array in statistics.items():
        np.testing.assert_array_equal(stored[name], array)
        assert np.isfinite(array).all()
    again = convention.statistics(clip)
    assert all(np.array_equal(again[name], array) for name, array in statistics.items())


@every_convention
def test_order_of_clips_does_not_matter(metric: Metric, convention: Convention, full_clip: Maker) -> None:
    if "draw-seed" in convention.parameters:
        return  # a seeded draw of frames depends on their order; see its own tests
    statistics = _statistics(convention, _clips(full_clip, convention))
    value = convention.combiner.value(statistics)
    assert convention.combiner.value(statistics[::-1]) == pytest.approx(value, rel=1e-9, abs=1e-9)


@every_convention
def test_interval_holds_the_value_and_repeats(metric: Metric, convention: Convention, full_clip: Maker) -> None:
    statistics = _statistics(convention, _clips(full_clip, convention))
    clusters = [str(number) for number in range(len(statistics))]
    first, second = (
        convention.combiner.interval(statistics, clusters, np.random.default_rng(4), resamples=200)
        for _ in range(2)
    )
    assert first == second
    assert first.low <= convention.combiner.value(statistics) <= first.high


def _outcome(compute: Callable[[], Result]) -> Result | str:
    """Return the result, or the reason why there is none."""
    try:
        return compute()
    except NotComputableError as reason:
        return str(reason)


PERFECT = {"lower": 0.0, "higher": 1.0}
NO_REFERENCE = {"av-align", "is", "peavs", "desync", "onset-acc@annotations", "onset-ap@annotations"}
NOT_PERFECT_BY_DESIGN = {
    "clap-score@audio-released",
    "clap-score@text-released",
    "onset-count@annotations",
    "onset-acc@videofoley",
    "onset-ap@videofoley",
    "kad@reference-bandwidth",
    "kad@generated-bandwidth",
    "kid@whole-sets",
    "kid@subsets",
    "e-l1@video2rms",
}
"""Random replacement, annotations, unbiased estimates below 0, and decoding to the upper bin edge."""


@every_convention
def test_a_perfect_copy_is_perfect(metric: Metric, convention: Convention, perfect_clip: Maker) -> None:
    name = f"{metric.name}@{convention.name}"
    if name in NOT_PERFECT_BY_DESIGN or metric.name in NO_REFERENCE or name in NO_REFERENCE:
        return
    value = convention.combiner.value(_statistics(convention, _clips(perfect_clip, convention)))
    if "inf-" in convention.name:
        assert abs(value) < 1.0  # extrapolated from random subsets: near 0, not 0
    else:
        # an epsilon on one side of a divergence leaves up to the number of classes times it
        slack = 527 * float(convention.parameters.get("epsilon", 0.0))
        assert value == pytest.approx(PERFECT[metric.direction], abs=1e-6 + slack)


def test_unbiased_kernel_distances_of_equal_sets_are_below_zero(perfect_clip: Maker) -> None:
    convention = metrics()["kad"].convention()
    assert convention.combiner.value(_statistics(convention, _clips(perfect_clip, convention))) < 0


@every_convention
def test_no_clips_are_a_reason(metric: Metric, convention: Convention) -> None:
    with pytest.raises(NotComputableError, match="clips"):
        convention.combiner.value([])


@every_convention
def test_one_clip_has_a_value_or_a_reason(metric: Metric, convention: Convention, full_clip: Maker) -> None:
    outcome = _outcome(lambda: convention.combiner.value([convention.statistics(full_clip(0))]))
    assert len(outcome) > 20 if isinstance(outcome, str) else np.isfinite(outcome)


@every_convention
@pytest.mark.parametrize("level", [0.0, 0.25], ids=["silence", "constant"])
def test_silence_and_constants_have_a_value_or_a_reason(
    metric: Metric, convention: Convention, full_clip: Maker, level: float
) -> None:
    clip = full_clip(0)
    flat = replace(clip, generated=np.full_like(clip.generated, level), predictions={})
    outcome = _outcome(lambda: convention.statistics(flat))
    if isinstance(outcome, str):
        assert len(outcome) > 20
    else:
        assert all(np.isfinite(array).all() for array in outcome.values())


@every_convention
def test_nan_is_a_reason(metric: Metric, convention: Convention, full_clip: Maker) -> None:
    clip = full_clip(0)

    def broken(embeddings: object) -> dict[str, np.ndarray]:
        assert isinstance(embeddings, dict)
        return {name: np.full_like(rows, np.nan) for name, rows in embeddings.items()}

    bad = replace(
        clip,
        generated=np.full_like(clip.generated, np.nan),
        generated_embeddings=broken(clip.generated_embeddings),
        pair_embeddings=broken(clip.pair_embeddings),
        predictions={name: np.full(array.shape, np.nan) for name, array in clip.predictions.items()},
    )
    with pytest.raises(NotComputableError, match=r"NaN|finite"):
        convention.statistics(bad)


@every_convention
def test_what_is_missing_is_a_reason(metric: Metric, convention: Convention, full_clip: Maker) -> None:
    clip = full_clip(0)
    bare = ClipInput("bare", clip.generated, clip.sample_rate, reference_missing="the clip was never recorded")
    if not (convention.needs or convention.embedders or convention.pair_embedders):
        return
    with pytest.raises(NotComputableError) as caught:
        convention.statistics(bare)
    assert re.search(r"never recorded|weights fetch|annotated|no video|no text|gives no", str(caught.value))


@every_convention
def test_card_is_complete(metric: Metric, convention: Convention) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", metric.name)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", convention.name)
    assert metric.convention().name == metric.default
    assert len({one.name for one in metric.conventions}) == len(metric.conventions)
    assert metric.evidence
    assert len(metric.summary) > 40
    assert len(convention.summary) > 20
    assert metric.default_reason
    assert convention.source
    assert metric.paper
    if metric.published and metric.official_code:
        assert re.search(r"[\w.-]+/[\w.-]+@[0-9a-f]{7}", metric.official_code)
    if convention.official:
        assert "/" in convention.source or "paper" in convention.source
    signature = Signature(
        metric.name, convention.name, 3, 16_000, "soxr HQ", 0, "0.1.0", dict(convention.parameters)
    )
    assert parse_signature(str(signature)) == signature


def test_conventions_of_a_metric_have_different_signatures() -> None:
    texts = [
        str(Signature(metric.name, one.name, 3, 16_000, "soxr HQ", 0, "0.1.0", dict(one.parameters)))
        for metric, one in EVERY
    ]
    assert len(set(texts)) == len(texts)


def test_an_unknown_convention_is_named_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"e-l1 has no convention 'v3s'; it has v2s, v2s-normalised"):
        metrics()["e-l1"].convention("v3s")


def _modules() -> list[Path]:
    return sorted(Path(inspect.getfile(clapstick.metrics)).parent.glob("*.py"))


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.stem)
def test_arguments_come_in_one_order(path: Path) -> None:
    """Reference before generated, and a sample rate only by name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        names = [argument.arg for argument in node.args.args]
        reference = [position for position, name in enumerate(names) if name.startswith("reference")]
        generated = [position for position, name in enumerate(names) if name.startswith("generated")]
        if reference and generated:
            assert max(reference) < min(generated), f"{path.name}: {node.name}"
        assert "sample_rate" not in names, f"{path.name}: {node.name} takes sample_rate by position"


def test_no_module_draws_from_the_global_generator() -> None:
    for path in _modules():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"np\.random\.(seed|rand|randn|choice|normal|permutation|shuffle)\b", text), path


def test_listing_metrics_imports_nothing_heavy() -> None:
    code = (
        "import sys; from clapstick.metrics.registry import metrics; metrics(); "
        "print([name for name in ('torch', 'scipy', 'librosa', 'pandas', 'sklearn', 'av', 'cv2') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
