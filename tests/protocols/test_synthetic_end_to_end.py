"""Reader, windows, prompts, lint and audit on synthetic hits, with media, in the form of Greatest Hits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clapstick.protocols.audit import audit
from clapstick.protocols.duplicates import all_recordings, duplicates_among
from clapstick.protocols.lint import lint_clip
from clapstick.protocols.prompts import apply_prompts
from clapstick.protocols.protocol import PromptRules, find_protocol
from clapstick.protocols.readers.greatest_hits import read
from clapstick.systems.card import TrainedOn

RULES = find_protocol("synthetic-hits").dataset


def test_whole_and_windowed_clips_hold_the_same_onsets(hits_folder: Path) -> None:
    whole = read(hits_folder, RULES)
    cut = read(hits_folder, RULES.model_copy(update={"clip_duration_s": 1.0, "clip_hop_s": 1.0}))
    assert whole.problems == cut.problems == ()
    assert [clip.id for clip in cut.clips] == [f"{clip.id}_{k}" for clip in whole.clips for k in (0, 1)]
    for clip in whole.clips:
        assert clip.onsets is not None
        parts = [part for part in cut.clips if part.source == clip.source]
        again = [round(onset.time_s + part.start_s, 6) for part in parts for onset in part.onsets or ()]
        assert again == [round(onset.time_s, 6) for onset in clip.onsets if onset.time_s < 2.0]
        assert {onset.material for onset in clip.onsets} <= {clip.material} or clip.material == "multiple"


def test_annotated_windows_alone_are_kept_where_a_protocol_says_so(hits_folder: Path) -> None:
    rules = RULES.model_copy(update={"clip_duration_s": 0.25, "clip_hop_s": 0.25})
    every = read(hits_folder, rules).clips
    annotated = read(hits_folder, rules.model_copy(update={"annotated_only": True})).clips
    assert [clip.id for clip in annotated] == [clip.id for clip in every if clip.onsets]
    assert 0 < len(annotated) < len(every)


def test_prompts_name_what_is_annotated(hits_folder: Path) -> None:
    clips = read(hits_folder, RULES).clips
    prompted = apply_prompts(
        clips, PromptRules(text="video-foley", audio="random-hit"), np.random.default_rng(0)
    )
    for clip in prompted:
        assert clip.onsets
        text, prompt = clip.prompt.text, clip.prompt
        assert text is not None
        for onset in clip.onsets:
            assert f"person {onset.action} {onset.material} with a wooden stick." in text
        assert prompt.path == clip.reference
        assert prompt.duration_s is not None
        assert min(abs(prompt.start_s - onset.time_s) for onset in clip.onsets) < 1e-6


def test_made_clips_have_no_fault_no_duplicate_and_no_training_list(hits_folder: Path) -> None:
    clips = read(hits_folder, RULES).clips
    assert [finding for clip in clips for finding in lint_clip(clip)] == []
    assert duplicates_among(all_recordings(hits_folder, RULES).clips, clips) == ([], [])
    lists = (TrainedOn(dataset="greatest-hits", split_of="syncfusion", splits=("train",)),)
    assert len(audit(clips, {"syncfusion": lists}).unseen_by_all) == len(clips)
