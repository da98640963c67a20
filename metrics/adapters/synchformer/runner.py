"""Synchformer as its authors and V-AURA's evaluator use it: logits of 14 segments within the first 5 s.

Official code: v-iashin/Synchformer, example.py and configs/sync.yaml (the released configuration of
24-01-04T16-39-21 has the same test transforms and network); ilpoviertola/eval_generative_v2a_models,
metrics/insync.py repeats clips that are shorter than 5 s.
"""

import math

import clapstick_runner as kit

FPS, RATE, SIDE = 25, 16000, 256


def load(job):
    job.enter_repository()
    import torch
    from omegaconf import OmegaConf
    from scripts.train_utils import get_model, get_transforms

    config = OmegaConf.load("configs/sync.yaml")
    _, network = get_model(config, torch.device(job.device))
    kit.fill(job, network, "synchformer_state_dict.pth", strict=True)
    transform = get_transforms(config, ["test"])["test"]
    return network.eval(), transform, config, job.device, kit.once_a_video(read_picture)


def make(model, clip):
    import torch

    network, transform, config, device, picture_of = model
    seconds = config.data.crop_len_sec
    item = {
        "video": repeat(picture_of(clip), math.ceil(seconds * FPS)),
        "audio": repeat(read_sound(clip), math.ceil(seconds * RATE)),
        "meta": {"video": {"fps": [FPS]}, "audio": {"framerate": [RATE]}},
        "path": clip.id,
        "split": "test",
        "targets": {"v_start_i_sec": 0, "offset_sec": 0},
    }
    item = transform(item)
    video, audio = item["video"][None].to(device), item["audio"][None].to(device)
    half = device != "cpu" and config.training.use_half_precision
    with torch.no_grad(), torch.autocast("cuda", enabled=half):
        _, logits = network(video if half else video.float(), audio)
    return kit.Rows(logits.float().cpu())


def read_picture(clip):
    """Frames (n, 3, height, width) of the official re-encoding: 25 a second, short side 256."""
    import torch

    side = "'min(iw,ih)'"
    scale = f"scale=iw*{SIDE}/{side}:ih*{SIDE}/{side}"
    path = clip.scratch / "encoded.mp4"
    kit.ffmpeg("-i", clip.video, "-vf", f"fps={FPS},{scale},crop='trunc(iw/2)'*2:'trunc(ih/2)'*2", path)
    frames = kit.read_frames(path, clip.scratch, scaler="bilinear")
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def read_sound(clip):
    """Samples (n,) at 16 kHz, resampled by ffmpeg; no lossy codec comes between, as it does officially."""
    import torch

    path = clip.scratch / "sound.wav"
    kit.ffmpeg("-i", clip.sound, "-ar", RATE, "-ac", 1, "-c:a", "pcm_f32le", path)
    return torch.tensor(kit.read_wav(path)[0])


def repeat(stream, length):
    """Repeat a stream along its first axis until it has `length`, or cut it."""
    times = length // len(stream) + 1
    return stream.repeat(times, *[1] * (stream.dim() - 1))[:length]


if __name__ == "__main__":
    kit.main(load, make)
