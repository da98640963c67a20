"""ImageBind: the embedding of a clip's picture, then that of its sound.

Official code: facebookresearch/ImageBind, imagebind/data.py. With `frames` = "av-benchmark" the picture is
taken as hkchengrex/av-benchmark takes it (av_bench/data/video_dataset.py, extract_video.py); the sound is the
same there.
"""

import clapstick_runner as kit

FPS = 0.5
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def load(job):
    job.enter_repository()
    kit.alias_module("torchvision.transforms.functional_tensor", "torchvision.transforms.functional")
    from imagebind import data
    from imagebind.models import imagebind_model

    network = imagebind_model.imagebind_huge(pretrained=False)
    kit.fill(job, network, "imagebind_huge.pth", strict=True)
    network = network.to(job.device).eval()
    data.torchaudio.load = read_sound  # newer releases of torchaudio need a codec library to read a wav
    take = {"official": official_frames, "av-benchmark": benchmark_frames}[job.parameters["frames"]]

    def picture(clip):
        return embed(network, "vision", take(data, clip, job.device))

    return network, data, job.device, kit.once_a_video(picture)


def make(model, clip):
    import torch

    network, data, device, picture_of = model
    picture = picture_of(clip)
    sound = embed(network, "audio", data.load_and_transform_audio_data([str(clip.sound)], device))
    return kit.Rows(torch.cat([picture, sound]).float().cpu())


def embed(network, modality, batch):
    """Mean of the crops' unit vectors, (1, 1024)."""
    import torch

    with torch.inference_mode():
        return network({modality: batch})[modality]


def official_frames(data, clip, device):
    """Five clips of 2 s, two frames each, three crops: (1, 15, 3, 2, 224, 224)."""
    return data.load_and_transform_video_data([str(clip.video)], device)


def benchmark_frames(data, clip, device):
    """All pairs of neighbours in a stream of one frame every 2 s, three crops each."""
    import torch
    from torchvision.transforms import v2

    frames = kit.read_frames(clip.video, clip.scratch, f"fps={FPS}")[: int(FPS * clip.duration_s)]
    if len(frames) < 2:
        raise ValueError(f"{clip.duration_s:g} s hold {len(frames)} frames at {FPS} a second; 2 are needed")
    prepare = v2.Compose(
        [
            v2.Resize(224, interpolation=v2.InterpolationMode.BICUBIC),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=MEAN, std=DEVIATION),
        ]
    )
    pixels = prepare(torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous())
    crops = torch.stack(data.SpatialCrop(224, 3)([pixels]))
    pairs = torch.cat([crops[:, index : index + 2] for index in range(len(frames) - 1)])
    return pairs.transpose(1, 2)[None].to(device)


def read_sound(path):
    """Samples (channels, n) and rate, as torchaudio reads them."""
    import torch

    samples, channels, rate = kit.read_wav(kit.Path(path))
    return torch.tensor(samples).reshape(-1, channels).T.contiguous(), rate


if __name__ == "__main__":
    kit.main(load, make)
