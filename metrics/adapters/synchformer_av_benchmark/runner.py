"""Synchformer as av-benchmark uses it: logits of the first and of the last 14 segments of a clip.

Official code: hkchengrex/av-benchmark, extract_video.py, av_bench/extract.py, av_bench/evaluate.py. These
import every network of the benchmark, so what they do around Synchformer is done here.
"""

import clapstick_runner as kit

FPS, RATE = 25, 16000
SEGMENT_FRAMES, STEP_FRAMES = 16, 8
SEGMENT_SAMPLES, STEP_SAMPLES = 10240, 5120
WINDOW = 14
SEGMENTS_AT_ONCE = 8
MEAN, DEVIATION = -4.2677393, 4.5689974


def load(job):
    job.enter_repository()
    import torchaudio
    from av_bench.synchformer.synchformer import Synchformer

    network = Synchformer()
    kit.fill(job, network, "synchformer_state_dict.pth", strict=True)
    network = network.to(job.device).eval()
    mel = torchaudio.transforms.MelSpectrogram(
        sample_rate=RATE, win_length=400, hop_length=160, n_fft=1024, n_mels=128
    ).to(job.device)
    return network, mel, kit.once_a_video(lambda clip: picture_features(network, job.device, clip))


def make(model, clip):
    import torch

    network, mel, picture_of = model
    with torch.inference_mode():
        picture = picture_of(clip)
        sound = sound_features(network, mel, clip)
        segments = min(picture.shape[1], sound.shape[1])
        if segments < WINDOW:
            raise ValueError(f"{clip.duration_s:g} s hold {segments} segments; {WINDOW} (4.8 s) are needed")
        first = network.compare_v_a(picture[:, :WINDOW], sound[:, :WINDOW])
        last = network.compare_v_a(picture[:, -WINDOW:], sound[:, -WINDOW:])
    return kit.Rows(torch.cat([first, last]).float().cpu())


def picture_features(network, device, clip):
    """Features (1, segments, tokens, 768) of frames at 25 a second, as the benchmark's decoder picks them."""
    import torch
    from torchvision.transforms import v2

    frames = kit.read_frames(clip.video, clip.scratch, f"fps={FPS}")[: int(FPS * clip.duration_s)]
    prepare = v2.Compose(
        [
            v2.Resize(224, interpolation=v2.InterpolationMode.BICUBIC),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=[0.5] * 3, std=[0.5] * 3),
        ]
    )
    pixels = prepare(torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()).to(device)
    segments = torch.stack(cut(pixels, SEGMENT_FRAMES, STEP_FRAMES))[:, None]
    features = [network.extract_vfeats(some) for some in segments.split(SEGMENTS_AT_ONCE)]
    return torch.cat(features).transpose(0, 1)


def sound_features(network, mel, clip):
    """Features (1, segments, tokens, 768) of the sound at 16 kHz."""
    import torch
    import torchaudio

    samples, channels, rate = kit.read_wav(clip.sound)
    waveform = torch.tensor(samples).reshape(-1, channels).mean(dim=1)
    if rate != RATE:
        waveform = torchaudio.transforms.Resample(rate, RATE)(waveform)
    waveform = waveform[: int(RATE * clip.duration_s)]
    device = next(network.parameters()).device
    segments = torch.stack(cut(waveform, SEGMENT_SAMPLES, STEP_SAMPLES))[None].to(device)
    spectra = torch.log(mel(segments) + 1e-6)
    spectra = torch.nn.functional.pad(spectra, (0, 66 - spectra.shape[-1]))
    return network.extract_afeats(((spectra - MEAN) / (2 * DEVIATION)).unsqueeze(2))


def cut(stream, length, step):
    """Whole segments of a tensor along its first axis."""
    if len(stream) < length:
        raise ValueError(f"the clip has {len(stream)} frames or samples, a segment {length}")
    return [stream[start : start + length] for start in range(0, len(stream) - length + 1, step)]


if __name__ == "__main__":
    kit.main(load, make)
