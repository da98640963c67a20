"""Lets an installation be tried before there are weights or a GPU, or on libraries newer than the pinned ones.

Stand-ins for downloads are used where ``random_weights`` is set, those for CUDA where the device is ``cpu``.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any


def cuda_on_cpu() -> None:
    """Let code that asks for CUDA everywhere run on the CPU: ``.cuda()`` and ``"cuda"`` stay where they are."""
    import torch

    def on_cpu(device: Any) -> Any:
        named = isinstance(device, (str, torch.device)) and str(device).startswith("cuda")
        return torch.device("cpu") if named or (type(device) is int) else device

    def stay(self: Any, *_: Any, **__: Any) -> Any:
        return self

    def moved(move: Callable[..., Any]) -> Callable[..., Any]:
        def to(self: Any, *arguments: Any, **named: Any) -> Any:
            if "device" in named:
                named["device"] = on_cpu(named["device"])
            return move(self, *(on_cpu(one) for one in arguments), **named)

        return to

    torch.jit.script = lambda function, *_, **__: function  # it cannot compile what stands in here
    torch.Tensor.cuda = torch.nn.Module.cuda = stay
    torch.Tensor.to, torch.nn.Module.to = moved(torch.Tensor.to), moved(torch.nn.Module.to)
    for name in ("zeros", "ones", "randn", "rand", "arange", "full", "tensor", "empty", "linspace"):
        make = getattr(torch, name)

        def made(*arguments: Any, _make: Callable[..., Any] = make, **named: Any) -> Any:
            if "device" in named:
                named["device"] = on_cpu(named["device"])
            return _make(*arguments, **named)

        setattr(torch, name, made)


def single_precision(network: Any) -> None:
    """Let a network take what was halved for the autocast of CUDA on the CPU: its inputs become float32."""
    network.register_forward_pre_hook(lambda _, inputs: tuple(one.float() for one in inputs))


def random_roberta(folder: Path) -> None:
    """Stand in for ``roberta-base``: a tokenizer that knows bytes alone, and a model with random weights."""
    import transformers

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    files = _write_byte_vocabulary(folder, special + _byte_alphabet())
    tokenizer = transformers.RobertaTokenizer(*files, model_max_length=512)
    config = transformers.RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, num_hidden_layers=12, pad_token_id=1
    )
    transformers.RobertaTokenizer.from_pretrained = lambda *_, **__: tokenizer
    transformers.AutoTokenizer.from_pretrained = lambda *_, **__: tokenizer
    transformers.RobertaConfig.from_pretrained = lambda *_, **__: config
    transformers.RobertaModel.from_pretrained = lambda *_, **__: transformers.RobertaModel(config)


def byte_clip_tokenizer(folder: Path) -> Any:
    """Stand in for CLIP's tokenizer: it knows bytes alone."""
    import transformers

    alphabet = _byte_alphabet()
    tokens = alphabet + [one + "</w>" for one in alphabet] + ["<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(*_write_byte_vocabulary(folder, tokens), model_max_length=77)


def _byte_alphabet() -> list[str]:
    """Return the printable character that byte-pair encodings write for each of the 256 bytes."""
    printable = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    return printable + [chr(256 + index) for index in range(256 - len(printable))]


def _write_byte_vocabulary(folder: Path, tokens: list[str]) -> tuple[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}), encoding="utf-8")
    merges.write_text("#version: 0.2\n", encoding="utf-8")
    return str(vocabulary), str(merges)


def old_torchaudio() -> None:
    """Give a recent torchaudio back what older code calls: a choice of backend, loading without torchcodec."""
    import torchaudio

    if hasattr(torchaudio, "set_audio_backend"):
        return

    def load(path: Any, **_: Any) -> tuple[Any, int]:
        import soundfile
        import torch

        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
        return torch.from_numpy(samples.T.copy()), rate

    torchaudio.set_audio_backend = lambda _: None
    torchaudio.load = load


def old_torchvision() -> None:
    """Give a recent torchvision back ``io.read_video``, for the picture alone.

    Readers of training data import its inner parts besides; those are there by name and do nothing.
    """
    import torchvision

    if hasattr(torchvision.io, "read_video"):
        return

    def read_video(
        path: Any, *_: Any, output_format: str = "THWC", **__: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        import av
        import torch

        with av.open(str(path)) as container:
            rate = float(container.streams.video[0].average_rate)
            frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
        picture = torch.stack(frames)
        if output_format == "TCHW":
            picture = picture.permute(0, 3, 1, 2)
        return picture, torch.zeros((1, 0)), {"video_fps": rate}

    inner = types.ModuleType("torchvision.io.video")
    inner.__dict__.update(dict.fromkeys(("_check_av_available", "_read_from_stream", "_align_audio_frames")))
    torchvision.io.read_video = inner.__dict__["read_video"] = read_video
    torchvision.io.video = sys.modules["torchvision.io.video"] = inner
    torchvision.io._video_opt = types.ModuleType("torchvision.io._video_opt")
