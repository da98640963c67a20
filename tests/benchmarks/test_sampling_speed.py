"""Stage 2: batched windows, joint guidance and the multistep solver against the official loop.

The official loop is DDIM with 200 steps and eta 1, two calls of the network a step, one window at a time. Both
ways use the shipped tiny pair in one process, and processor seconds count.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
import torch

from clapstick.metrics.rms import rms_curve
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.rms2sound import Order, RMS2Sound, load_rms2sound, render
from clapstick.systems.two_stage.sampling import Sampling
from clapstick.systems.two_stage.tiny import WEIGHTS

DURATION_S = 4.8
"""Two windows of 2.56 s, faded over 0.32 s."""
CLIPS = 3

pytestmark = pytest.mark.benchmark


def _say(line: str) -> None:
    sys.stdout.write(f"\n{line}\n")


def _hits(seed: int) -> Envelope:
    rng = np.random.default_rng(seed)
    times = (np.arange(round(DURATION_S * 125)) + 0.5) / 125
    curve = np.full(times.size, 0.001)
    for start in np.sort(rng.uniform(0.1, DURATION_S - 0.5, 6)):
        decay = np.exp(-np.clip(times - start, 0, None) / rng.uniform(0.05, 0.2)) * (times >= start)
        curve = np.maximum(curve, rng.uniform(0.05, 0.2) * decay)
    return Envelope(curve, 125.0)


def _score(model: RMS2Sound, sampling: Sampling, batch: int) -> tuple[float, float, float]:
    """Return processor seconds a clip, mean E-L1 and mean envelope correlation."""
    assert model.timbre is not None
    prompt = model.timbre.words[0]
    seconds, errors, correlations = 0.0, [], []
    for seed in range(CLIPS):
        asked = _hits(seed)
        started = time.process_time()
        made = render(
            model,
            Order(prompt, asked, DURATION_S, seed),
            torch.zeros_like(prompt),
            sampling=sampling,
            batch=batch,
        )
        seconds += time.process_time() - started
        heard = rms_curve(made.samples.astype(np.float64))
        errors.append(np.abs(heard - asked.amplitudes).mean())
        correlations.append(np.corrcoef(heard, asked.amplitudes)[0, 1])
    return seconds / CLIPS, float(np.mean(errors)), float(np.mean(correlations))


def test_fast_sampling_against_the_official_loop() -> None:
    torch.set_num_threads(1)
    model = load_rms2sound(WEIGHTS / "rms2sound-tiny.safetensors")
    guidance = model.config.sampling.guidance
    official = Sampling(steps=200, eta=1.0, guidance=guidance, branches="one-by-one")
    fast = Sampling(solver="dpm++", steps=20, guidance=guidance)
    slow_s, slow_error, slow_correlation = _score(model, official, 1)
    fast_s, fast_error, fast_correlation = _score(model, fast, 8)
    _say(
        f"official loop {slow_s:.2f} s a clip, E-L1 {slow_error:.4f}, correlation {slow_correlation:.3f}; "
        f"fast {fast_s:.2f} s, {fast_error:.4f}, {fast_correlation:.3f}; ratio {slow_s / fast_s:.1f}"
    )
    assert slow_s / fast_s > 5
    assert fast_error < 1.1 * slow_error
    assert fast_correlation > slow_correlation - 0.03


def test_joint_guidance_costs_no_more_than_two_calls() -> None:
    torch.set_num_threads(1)
    model = load_rms2sound(WEIGHTS / "rms2sound-tiny.safetensors")
    together = Sampling(steps=10, eta=0.0, guidance=2.0)
    apart = together.model_copy(update={"branches": "one-by-one"})
    seconds = {}
    for _ in range(2):  # the first round warms up
        seconds = {sampling.branches: _score(model, sampling, 8)[0] for sampling in (together, apart)}
    _say(f"two calls {seconds['one-by-one']:.2f} s, one call {seconds['together']:.2f} s a clip")
    assert seconds["together"] < 1.15 * seconds["one-by-one"]
