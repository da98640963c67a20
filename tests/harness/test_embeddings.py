"""Scores that need a network: a reason with the command where the checkpoint is missing, else a value."""

from __future__ import annotations

import pytest

from clapstick.harness.run import run
from clapstick.metrics.signature import parse_signature


@pytest.fixture
def with_panns(settings_for, monkeypatch, tmp_path):
    """Settings that score FD-PANNs, with weights and caches in folders of the test."""
    monkeypatch.setenv("CLAPSTICK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("CLAPSTICK_CACHE", str(tmp_path / "cache"))

    def make(*systems, **changes):
        settings = settings_for(*systems, **changes)
        protocol = settings.protocol.model_copy(update={"metrics": ("fd-panns:plain", "e-l1:v2s")})
        return type(settings)(**{**settings.__dict__, "protocol": protocol})

    return make


def test_a_missing_checkpoint_is_a_reason_with_the_command_and_other_scores_stand(with_panns):
    records = run(with_panns("silence", limit=2)).archive.read_summary()
    by_metric = {record.metric: record for record in records if record.system == "silence"}
    assert by_metric["fd-panns"].value is None
    assert "clapstick weights fetch panns-cnn14-16k" in by_metric["fd-panns"].reason
    assert by_metric["e-l1"].value is not None


@pytest.mark.slow
def test_a_checkpoint_in_the_folder_gives_values_signed_with_its_hash(with_panns, tmp_path):
    torch = pytest.importorskip("torch")
    from clapstick.harness.weights import weight_file
    from clapstick.metrics.embedders.panns import Cnn14

    torch.manual_seed(0)
    network = Cnn14(16_000, 512, 160, 8_000)
    path = tmp_path / "weights" / weight_file("panns-cnn14-16k").file
    path.parent.mkdir(parents=True)
    torch.save({"model": network.state_dict()}, path)
    records = run(with_panns("noise", "silence")).archive.read_summary()
    values = {record.system: record for record in records if record.metric == "fd-panns"}
    # The reference against itself is at distance zero; noise and silence are not.
    assert values["reference"].value == pytest.approx(0.0, abs=1e-6)
    assert values["noise"].value > 1e-5
    signature = parse_signature(values["noise"].signature)
    assert len(str(signature.weights["panns-cnn14-16k"])) == 16
