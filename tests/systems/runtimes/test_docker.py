"""Systems in real containers, on an engine that these tests start and end themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.building import build_image
from clapstick.systems.card import FoundSystem, SystemCard
from clapstick.systems.runtimes import docker as runtime
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.place import Place
from tests.systems.runtimes.conftest import write_system
from tests.systems.runtimes.engines import IMAGE, MIB, running_engine

Run = Callable[..., tuple[list[Any], list[Any]]]


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The socket of a Docker engine of our own."""

    def arguments(root: Path, host: str) -> list[str]:
        folders = ["--data-root", f"{root}/data", "--exec-root", f"{root}/exec", "--pidfile", f"{root}/pid"]
        return ["--host", host, *folders, "--storage-driver", "vfs", "--iptables=false", "--bridge=none"]

    with running_engine("dockerd", arguments, "exec") as host:
        yield host


@pytest.fixture
def run_contained(run_stub: Run, engine: str) -> Run:
    """Return a function that runs a stub in a container."""

    def run(body: str, clips: list[Clip], **options: Any) -> tuple[list[Any], list[Any]]:
        limits = {"memory_bytes": 256 * MIB, "processes": 64, "output_bytes": 64 * MIB, "start_timeout_s": 60.0}
        return run_stub(body, clips, runtime="docker", docker_host=engine, image=IMAGE, **(limits | options))

    return run


def many(clip: Clip, count: int) -> list[Clip]:
    return [clip.model_copy(update={"id": f"clip {number}"}) for number in range(count)]


def named(failed: list[Any]) -> dict[str | None, str]:
    return {one.clip.id if one.clip else None: str(one.problem) for one in failed}


def containers(engine: str) -> list[Any]:
    client = runtime.connect(RuntimeOptions(docker_host=engine))
    try:
        return list(client.containers.list(all=True))
    finally:
        client.close()


def test_sound_comes_out_of_a_container(run_contained: Run, engine: str, clips: list[Clip]) -> None:
    results, failed = run_contained(
        "def make(job, clip):\n    return tone(clip, job.parameters['level'])", clips
    )
    assert failed == []
    assert [result.clip.id for result in results] == ["clip a", "clip b", "clip c", "clip d"]
    np.testing.assert_array_equal(results[0].output.audio.samples, np.full((8000, 1), 0.25))
    assert containers(engine) == []


def test_walls_hold(run_contained: Run, clips: list[Clip], tmp_path: Path) -> None:
    """Each attempt comes back as a warning with what the container made of it."""
    reference = tmp_path / "reference of another clip.wav"
    reference.write_bytes(b"secret")
    results, failed = run_contained(
        f"""
        import socket
        def attempt(deed):
            try:
                return deed()
            except OSError as error:
                return type(error).__name__ + " " + str(error.errno)
        def connect(address):
            return socket.create_connection(address, timeout=3)
        def write(path):
            return open(path, "w").write("x")
        def files(folder):
            return sorted(name for _, _, names in os.walk(folder) for name in names)
        def make(job, clip):
            sound = tone(clip)
            sound.warnings = [repr(answer) for answer in (
                attempt(lambda: connect(("1.1.1.1", 53))),
                attempt(lambda: connect(("172.17.0.1", 22))),
                sorted(os.listdir("/sys/class/net")),
                *(attempt(lambda: write(folder + "/x")) for folder in
                  ("/", "/etc", "/job", "/job/inputs", "/system", "/kit", "/usr/local/lib")),
                attempt(lambda: write("/output/x")),
                attempt(lambda: open({str(reference)!r}).read()),
                attempt(lambda: os.setuid(0)),
                attempt(lambda: os.mknod("/output/disk", 0o60600, os.makedev(8, 0))),
                attempt(lambda: os.link("/job/job.json", "/output/job.json")),
                os.getuid(),
                files("/job"),
                open("/proc/self/status").read().split("CapEff:")[1].split()[0],
            )]
            return sound
        """,
        clips[:1],
    )
    assert failed == []
    denied, read_only = "'PermissionError 1'", "'OSError 30'"
    said = results[0].output.warnings
    # Warnings are told once each, so equal answers stand together.
    assert set(said) == {
        "'OSError 101'",  # network is unreachable
        "['lo']",
        read_only,
        "1",  # one character, into its own folder
        "'FileNotFoundError 2'",  # the reference of another clip is not there
        denied,  # no root, no devices
        "'OSError 18'",  # no second name for a file of the job
        "65534",
        "['c000000w0.mp4', 'job.json']",
        "'0000000000000000'",
    }


def test_hostile_clips_cost_themselves_alone(run_contained: Run, engine: str, clips: list[Clip]) -> None:
    deeds = [
        "os.symlink('/etc/passwd', '/output/c000000w0.wav'); kit.write_wav = lambda *a: 8000",
        "bomb()",
        "flood()",
        "open('/output/sparse', 'wb').truncate(100 * 10**9)",
        "hog()",
        "time.sleep(600)",
        "os.kill(os.getpid(), 9)",
    ]
    results, failed = run_contained(
        f"""
        write_well = kit.write_wav
        def bomb():
            while True:
                if os.fork() == 0:
                    time.sleep(600)
        def flood():
            for number in range(10**9):
                with open("/output/%d" % number, "wb") as stream:
                    stream.write(bytes(10_000_000))
        def hog():
            held = []
            while True:
                held.append(bytearray(16_000_000))
        def make(job, clip):
            kit.write_wav = write_well
            number = int(clip.id[1:7])
            deeds = {deeds!r}
            if number < len(deeds):
                print("deed", number, flush=True)
                exec(deeds[number])
            return tone(clip)
        """,
        many(clips[0], len(deeds) + 1),
        clip_timeout_s=8.0,
    )
    assert [result.clip.id for result in results] == [f"clip {len(deeds)}"]
    told = named(failed)
    assert list(told) == [f"clip {number}" for number in range(len(deeds))]
    assert "symbolic link" in told["clip 0"]
    assert "BlockingIOError" in told["clip 1"]
    assert "output folder held more than" in told["clip 2"]
    assert "File too large" in told["clip 3"]
    assert "bytes of memory" in told["clip 4"]
    assert "no answer within 8 s" in told["clip 5"]
    assert "exit code 137" in told["clip 6"]
    assert containers(engine) == []


def test_half_the_clips_and_others_besides(run_contained: Run, clips: list[Clip]) -> None:
    results, failed = run_contained(
        """
        def make(job, clip):
            if clip.id == "c000002w0":
                with open("/output/results.jsonl", "a") as stream:
                    line = {"kind": "done", "clip": "other", "samples": 1, "sample_rate": 8000, "seconds": 0}
                    stream.write(json.dumps(line) + "\\n")
                os._exit(0)
            return tone(clip)
        """,
        clips,
    )
    assert [result.clip.id for result in results] == ["clip a", "clip b"]
    assert list(named(failed)) == [None, "clip c", "clip d"]
    assert "'other', which was not asked for" in named(failed)[None]
    assert "without an answer" in named(failed)["clip d"]


DOCKERFILE = """
ARG BASE=nobody/has-this-image:1
FROM ${BASE}
RUN ["python", "-c", "open('/usr/local/lib/made.py', 'w').write('LEVEL = 0.125')"]
RUN ["python", "-c", "%s"]
ENV PYTHONPATH=/usr/local/lib
"""


def test_image_is_built_from_the_systems_dockerfile_and_runs(
    run_stub: Run, engine: str, clips: list[Clip], tmp_path: Path
) -> None:
    body = """
    sys.path.insert(0, "/usr/local/lib")
    import made
    def make(job, clip):
        return tone(clip, made.LEVEL)
    """
    found = write_system(tmp_path / "system", body, runtime="docker")
    (found.folder / "Dockerfile").write_text(DOCKERFILE % "print('a step')")
    options = RuntimeOptions(docker_host=engine, image="clapstick-test-built")
    lines: list[str] = []
    assert build_image(found, options, lines.append, base=IMAGE) == "clapstick-test-built"
    assert "a step" in lines
    results, failed = run_stub(
        body,
        clips[:1],
        runtime="docker",
        docker_host=engine,
        image="clapstick-test-built",
        start_timeout_s=60.0,
    )
    assert failed == []
    np.testing.assert_array_equal(results[0].output.audio.samples, np.full((8000, 1), 0.125))


def test_build_that_fails_tells_its_last_lines(engine: str, tmp_path: Path) -> None:
    found = write_system(tmp_path / "system", "", runtime="docker")
    (found.folder / "Dockerfile").write_text(DOCKERFILE % "raise SystemExit('no such package')")
    options = RuntimeOptions(docker_host=engine)
    with pytest.raises(ClapstickError, match=r"image does not build.*no such package"):
        build_image(found, options, lambda _: None, base=IMAGE)
    (found.folder / "Dockerfile").unlink()
    with pytest.raises(ClapstickError, match="has no Dockerfile"):
        build_image(found, options, lambda _: None)


def test_missing_image_says_how_to_build_it(run_stub: Run, engine: str, clips: list[Clip]) -> None:
    with pytest.raises(ClapstickError, match=r"image is missing.*clapstick systems build stub"):
        run_stub("make = None", clips, runtime="docker", docker_host=engine, image="not-there")


def test_missing_engine_is_named(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match="no container engine answers"):
        run_stub("make = None", clips, runtime="docker", docker_host=f"unix://{tmp_path}/none.sock")


def test_chosen_gpus_and_limits_reach_the_engine(tmp_path: Path) -> None:
    card = SystemCard(
        name="stub", title="S", summary="S", repository="https://example.org/a/b", commit="c" * 40
    )
    options = RuntimeOptions(gpus=("0", "2"), cpus=1.5, memory_bytes=7, processes=9, repository=tmp_path)
    place = Place(FoundSystem(card, tmp_path), options, tmp_path, tmp_path, tmp_path / "log.txt")
    settings = runtime.container_settings(place, "1:1")
    assert settings["device_requests"][0]["DeviceIDs"] == ["0", "2"]
    assert (settings["mem_limit"], settings["memswap_limit"], settings["pids_limit"]) == (7, 7, 9)
    assert settings["nano_cpus"] == 1_500_000_000
    writable = [mount["Target"] for mount in settings["mounts"] if not mount["ReadOnly"]]
    assert writable == ["/output"]
    assert runtime.inside(place).repository == "/repository"
