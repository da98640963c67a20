"""Which systems were trained on a clip reaches the run and does not change what is generated."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from clapstick.harness.plan import make_plan
from clapstick.protocols.clips import Clip
from clapstick.protocols.lists import listed_videos
from tests.protocols.media import make_video


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two real names: one video that SyncFusion trained on, one that nobody did."""
    folder = tmp_path / "data"
    folder.mkdir()
    seen = sorted(listed_videos("syncfusion", "train") - listed_videos("condfoleygen", "train"))[0]
    for name in (seen, "nobody-knows-it"):
        make_video(folder / f"{name}_denoised.mp4", seconds=1.0)
        soundfile.write(folder / f"{name}_denoised.wav", [0.1, -0.1] * 4000, 8000)
        (folder / f"{name}_times.txt").write_text("0.5 wood hit static\n")
    (folder / "test.txt").write_text(f"{seen}\nnobody-knows-it\n")
    return folder


def test_flags_of_every_known_system_reach_the_plan(settings_for, data) -> None:
    plan = make_plan(settings_for("silence", data=data))
    first, second = plan.clips
    assert "syncfusion" in first.seen_by
    assert "condfoleygen" not in first.seen_by
    assert second.seen_by == ()


def test_a_flag_does_not_make_a_sound_again(settings_for, data) -> None:
    plan = make_plan(settings_for("silence", data=data))
    system = plan.systems[0].system
    clip: Clip = plan.clips[1]
    flagged = clip.model_copy(update={"seen_by": ("somebody",)})
    assert system.fingerprint(clip, 1) == system.fingerprint(flagged, 1)
    assert system.fingerprint(clip, 1) != system.fingerprint(flagged.model_copy(update={"id": "x"}), 1)
