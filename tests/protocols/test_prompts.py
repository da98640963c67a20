"""Text templates and audio policies on hand-made clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapstick.protocols.clips import Clip, Onset
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.prompts import AUDIO_POLICIES, TEXT_TEMPLATES, apply_prompts
from clapstick.protocols.protocol import PromptRules

HITS = (
    Onset(time_s=1.0, material="wood", action="hit", reaction="static"),
    Onset(time_s=2.5),
    Onset(time_s=3.0, material="wood", action="hit", reaction="static"),
    Onset(time_s=7.0, material="metal", action="scratch", reaction="static"),
)


def clip(name: str = "a_0", onsets: tuple[Onset, ...] | None = HITS, **changes: object) -> Clip:
    values: dict[str, object] = {
        "id": name,
        "source": name.split("_")[0],
        "video": Path("a.mp4"),
        "start_s": 10.0,
        "duration_s": 10.0,
        "reference": Path(f"{name}.wav"),
        "reference_start_s": 10.0,
        "onsets": onsets,
        "material": "multiple",
        "caption": "dog barking",
    }
    return Clip.model_validate(values | changes)


def prompted(*clips: Clip, text: str = "none", audio: str = "none", seed: int = 0) -> tuple[Clip, ...]:
    return apply_prompts(clips, PromptRules(text=text, audio=audio), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "video-foley",
            "A person hit wood with a wooden stick. After that, a person scratch metal with a wooden stick.",
        ),
        (
            "video-foley-code",
            "A person hit wood with a wooden stick. After that, a person None None with a wooden stick. "
            "After that, a person hit wood with a wooden stick. "
            "After that, a person scratch metal with a wooden stick.",
        ),
        (
            "fol-ai",
            "A person hit multiple times on wood with a wooden stick. "
            "After that, a person scratch once on metal with a wooden stick.",
        ),
        ("material", "wood, metal"),
        ("caption", "dog barking"),
        ("caption-low-quality", "dog barking, low quality"),
    ],
)
def test_templates_print_what_the_papers_print(template: str, expected: str) -> None:
    (made,) = prompted(clip(), text=template)
    assert made.prompt.text == expected
    assert (made.prompt.kind, made.prompt.policy) == ("text", template)


@pytest.mark.parametrize("template", ["video-foley", "video-foley-code"])
@pytest.mark.parametrize("onsets", [(), None])
def test_video_foley_has_a_sentence_for_clips_without_annotation(
    template: str, onsets: tuple[Onset, ...] | None
) -> None:
    (made,) = prompted(clip(onsets=onsets), text=template)
    assert made.prompt.text == "A person hit something with a wooden stick."


def test_paper_template_uses_the_default_where_no_onset_is_labelled_and_the_code_does_not() -> None:
    unlabelled = clip(onsets=(Onset(time_s=1.0),))
    assert (
        prompted(unlabelled, text="video-foley")[0].prompt.text == "A person hit something with a wooden stick."
    )
    assert (
        prompted(unlabelled, text="video-foley-code")[0].prompt.text
        == "A person None None with a wooden stick."
    )


@pytest.mark.parametrize("template", ["fol-ai", "material", "syncfusion"])
def test_what_cannot_be_said_is_left_out_and_told(template: str) -> None:
    (made,) = prompted(clip(onsets=(Onset(time_s=1.0),)), text=template)
    assert made.prompt.kind == "none"
    assert made.prompt.text is None
    assert made.warnings == (f"no text prompt: the clip gives nothing for template {template}",)


def test_syncfusion_draws_one_labelled_line_and_its_code_any_line() -> None:
    texts = {prompted(clip(), text="syncfusion", seed=seed)[0].prompt.text for seed in range(40)}
    assert texts == {"wood hit static", "metal scratch static"}
    texts = {prompted(clip(), text="syncfusion-code", seed=seed)[0].prompt.text for seed in range(40)}
    assert texts == {"wood hit static", "metal scratch static", "None None None"}


def test_ground_truth_is_the_clips_own_stretch() -> None:
    (made,) = prompted(clip(), audio="ground-truth")
    prompt = made.prompt
    assert (prompt.kind, prompt.path, prompt.start_s, prompt.duration_s) == (
        "audio",
        Path("a_0.wav"),
        10.0,
        10.0,
    )


def test_random_hit_goes_from_one_onset_to_the_next() -> None:
    # Onsets at 1, 2.5, 3 and 7 s of a clip that starts at 10 s and lasts 10 s.
    stretches = set()
    for seed in range(60):
        prompt = prompted(clip(), audio="random-hit", seed=seed)[0].prompt
        stretches.add((prompt.start_s, prompt.duration_s))
    assert stretches == {(11.0, 1.5), (12.5, 0.5), (13.0, 4.0), (17.0, 3.0)}


def test_same_material_comes_from_another_recording() -> None:
    clips = (
        clip("a_0", material="wood"),
        clip("a_1", material="wood"),
        clip("b_0", material="wood"),
        clip("c_0", material="metal"),
        clip("d_0", material="wood", reference=None, reference_missing="gone"),
    )
    made = prompted(*clips, audio="same-material")
    assert made[0].prompt.path == made[1].prompt.path == Path("b_0.wav")
    assert made[2].prompt.path in {Path("a_0.wav"), Path("a_1.wav")}
    assert made[3].prompt.kind == "none"
    assert "no audio prompt" in made[3].warnings[0]


def test_other_material_is_never_the_clips_own() -> None:
    clips = (
        clip("a_0", material="wood"),
        clip("b_0", material="wood"),
        clip("c_0", material="metal"),
        clip("d_0", material=None),
    )
    for seed in range(20):
        made = prompted(*clips, audio="other-material", seed=seed)
        assert made[0].prompt.path == made[1].prompt.path == Path("c_0.wav")
        assert made[2].prompt.path in {Path("a_0.wav"), Path("b_0.wav")}
        assert made[3].prompt.kind == "none", "nothing is other than what is not known"


def test_preceding_seconds_need_room_before_the_clip() -> None:
    late, early = prompted(clip("a_0"), clip("b_0", start_s=2.0, reference_start_s=2.0), audio="preceding-3s")
    assert (late.prompt.start_s, late.prompt.duration_s, late.prompt.video_start_s) == (7.0, 3.0, 7.0)
    assert early.prompt.kind == "none"


def test_both_kinds_stand_in_one_prompt() -> None:
    (made,) = prompted(clip(), text="video-foley", audio="ground-truth")
    assert made.prompt.kind == "audio"
    assert made.prompt.policy == "video-foley + ground-truth"
    assert made.prompt.text is not None


@given(order=st.permutations(range(6)), seed=st.integers(0, 2**32 - 1))
def test_draws_depend_on_the_clip_and_not_on_its_company(order: list[int], seed: int) -> None:
    clips = [clip(f"{letter}_0") for letter in "abcdef"]
    straight = {
        made.id: made.prompt for made in prompted(*clips, text="syncfusion", audio="random-hit", seed=seed)
    }
    mixed = prompted(*(clips[index] for index in order[:4]), text="syncfusion", audio="random-hit", seed=seed)
    assert all(straight[made.id] == made.prompt for made in mixed)


def test_unknown_names_are_errors_with_the_nearest() -> None:
    with pytest.raises(ClapstickError, match="Did you mean video-foley"):
        prompted(clip(), text="video-foly")
    with pytest.raises(ClapstickError, match="Did you mean random-hit"):
        prompted(clip(), audio="random-hits")


def test_every_template_and_policy_says_where_it_is_from() -> None:
    for named in (*TEXT_TEMPLATES.values(), *AUDIO_POLICIES.values()):
        assert named.summary
        assert named.source
