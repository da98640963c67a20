"""Seeing&Hearing: AudioLDM steered by ImageBind, for one clip.

Official code: yzxing87/Seeing-and-Hearing, v2a/video2audio.py.
"""

import math
import os

import clapstick_runner as kit
import clapstick_trial


def load(job):
    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    folder = job.enter_repository("v2a") / "v2a"
    random = job.parameters["random_weights"]
    # The vocabulary of ImageBind and its checkpoint are looked for beneath the working folder.
    work = job.clips[0].scratch.parent / "work" / "imagebind"
    (work / ".checkpoints").mkdir(parents=True)
    (work / "bpe").symlink_to(folder / "imagebind" / "bpe")
    if not random:
        (work / ".checkpoints" / "imagebind_huge.pth").symlink_to(job.weight("imagebind_huge.pth"))
    os.chdir(str(work.parent))
    kit.alias_module("torchvision.transforms.functional_tensor", "torchvision.transforms._functional_tensor")
    if random:
        from random_networks import random_pipeline

        return job, with_own_output(random_pipeline(job).to(job.device))
    from audioldm.models.unet import UNet2DConditionModel
    from audioldm.pipelines.pipeline_audioldm import AudioLDMPipeline

    path = str(job.weight("audioldm-m-full"))
    network = UNet2DConditionModel.from_pretrained(path, subfolder="unet").to(job.device)
    return job, with_own_output(AudioLDMPipeline.from_pretrained(path, unet=network).to(job.device))


def with_own_output(pipe):
    """Let the vocoder hand over a copy, as in the authors' fork of transformers: it is changed in place."""
    pipe.vocoder.register_forward_hook(lambda _, __, sound: sound.clone())
    return pipe


def make(model, clip):
    import torch

    job, pipe = model
    if not clip.text:
        raise ValueError("a text prompt is needed")
    seconds = math.ceil(clip.duration_s - 1e-6)
    generator = torch.Generator(device=job.device)
    generator.manual_seed(clip.seed)
    sound = pipe.bind_forward_double_loss(
        clip.text,
        latents=None,
        num_inference_steps=int(job.parameters["steps"]),
        audio_length_in_s=seconds,
        guidance_scale=float(job.parameters["guidance"]),
        generator=generator,
        video_paths=[str(clip.video)],
        learning_rate=float(job.parameters["learning_rate"]),
        clip_duration=1,
        clips_per_video=seconds,
        num_optimization_steps=1,
    ).audios[0]
    return kit.Sound(sound.reshape(-1), 16000)


if __name__ == "__main__":
    kit.main(load, make)
