"""Cards agree with the list of weights and with the metrics; importing embedders stays off the network."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from clapstick.harness.weights import known_weights
from clapstick.metrics.embedders.registry import embedders
from clapstick.metrics.registry import metrics

KINDS: tuple[Any, ...] = ("audio", "video", "text")
OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("touched the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import importlib, pkgutil, sys
import clapstick.metrics.embedders as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{package.__name__}.{module.name}")
from clapstick.metrics.embedders.laion_clap import TINY, ClapAudio
from clapstick.metrics.embedders.msclap import MsclapAudio
ClapAudio(TINY)
MsclapAudio()
print(sorted({"laion_clap", "msclap", "fadtk", "transformers"} & set(sys.modules)))
"""


def test_importing_and_building_audio_networks_needs_no_network_and_no_tokenizer() -> None:
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_reading_cards_imports_no_torch() -> None:
    code = (
        "import sys; from clapstick.metrics.embedders.registry import embedders; "
        "embedders('audio'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_list_of_weights_says_which_embedders_need_each() -> None:
    needed: dict[str, set[str]] = {name: set() for name in known_weights()}
    for kind in KINDS:
        for card in embedders(kind).values():
            for weights in card.weights:
                needed[weights].add(card.name)
    names = set().union(*needed.values())
    stated = {name: names & set(known.needed_by) for name, known in known_weights().items()}
    assert stated == needed


@pytest.mark.parametrize("kind", KINDS)
def test_embedders_of_one_network_have_one_front_end(kind: Any) -> None:
    fronts: dict[str, Any] = {}
    for card in embedders(kind).values():
        assert fronts.setdefault(card.network, (card.front_end, card.weights, card.entry)) == (
            card.front_end,
            card.weights,
            card.entry,
        )


def test_video_embedders_that_stand_in_say_so() -> None:
    for card in embedders("video").values():
        assert card.official or "not comparable" in card.note


def test_pair_embedders_take_embeddings_that_there_are_and_conventions_name_all_three() -> None:
    for card in embedders("pair").values():
        assert card.takes is not None
        assert card.takes[0] in embedders("audio")
        assert card.takes[1] in embedders("video")
        for convention in (one for metric in metrics().values() for one in metric.conventions):
            if card.name in convention.pair_embedders:
                assert card.takes[0] in convention.embedders
                assert card.takes[1] in convention.video_embedders
