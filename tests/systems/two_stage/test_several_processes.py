"""Two processes with half of each batch learn what one process learns from the whole."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import train_both_stages
from safetensors.torch import load_file

from clapstick.protocols.problems import ClapstickError
from clapstick.systems.two_stage.processes import share_of

ROOT = Path(__file__).parents[3]


def _launch(out: Path, batch: int) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--master_addr", "127.0.0.1", "--master_port", str(port)]
    command += [str(Path(train_both_stages.__file__)), str(out), str(batch)]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def _weights(path: Path) -> torch.Tensor:
    tensors = load_file(path)
    return torch.cat([tensors[name].double().flatten() for name in sorted(tensors)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages trained by one process and by two."""
    folder = tmp_path_factory.mktemp("processes")
    train_both_stages.main(folder / "alone", 4)
    done = _launch(folder / "together", 4)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["2", "2"], "numbers of processes that the processes know of"
    train_both_stages.main(folder / "half", 2)
    return folder


@pytest.mark.parametrize(
    "checkpoint", ["one/video2rms.safetensors", "two/rms2sound.safetensors"], ids=["video2rms", "rms2sound"]
)
def test_two_processes_learn_what_one_does(trained: Path, checkpoint: str) -> None:
    alone, together, half = (_weights(trained / run / checkpoint) for run in ("alone", "together", "half"))
    # Another batch size ends elsewhere; sharing the same batch out does not, but for the order of sums.
    assert float((together - alone).norm()) < 0.02 * float((half - alone).norm())


def test_only_the_first_process_writes(trained: Path) -> None:
    for stage in ("one", "two"):
        assert len(list((trained / "together" / stage / "tensorboard").glob("events*"))) == 1


def test_a_batch_that_cannot_be_shared_out_is_named() -> None:
    second = SimpleNamespace(num_processes=2, process_index=1)
    assert list(range(4))[share_of(4, second)] == [1, 3]
    with pytest.raises(ClapstickError, match=r"does not divide among the processes; .*a batch of 3 on 2 proc"):
        share_of(3, second)
