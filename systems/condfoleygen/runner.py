"""CondFoleyGen: its script's generation for one target and one audio-visual prompt.

Official code: XYPB/CondFoleyGen, audio_generation.py (gen_audio_condImage_fast). ``windows_2s`` asks for 2 s
at a time; ``official_long`` hands over the whole clip with W_scale.
"""

import math
import os
import types
from pathlib import Path

import clapstick_runner as kit
import clapstick_trial

CONFIG = "greatesthit_transformer_with_vNet_randshift_2s_GH_vqgan_no_earlystop.yaml"
RATE, UNIT_S, FPS = 22050, 2, 15


def load(job):
    import torch

    if job.weights is not None:
        os.environ["TORCH_HOME"] = str(job.weights / "torch")
    page, editor = kit.stub_modules("streamlit", "moviepy.editor")
    page.cache, page.warning = (lambda function, **_: function), print
    editor.VideoFileClip = editor.AudioFileClip = editor.ImageSequenceClip = None
    kit.alias_module("pytorch_lightning.utilities.distributed", "pytorch_lightning.utilities.rank_zero")
    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    kit.alias_module("torchvision.models.utils", "torch.hub")
    clapstick_trial.old_torchaudio()
    repository = job.enter_repository()
    import audio_generation
    from feature_extraction import demo_utils
    from omegaconf import OmegaConf
    from sample_visualization import load_model_from_config
    from specvqgan.modules.video_model import r2plus1d_18
    from vocoder.modules import Generator

    random = job.parameters["random_weights"]
    name = job.parameters["model"]
    config = (
        OmegaConf.load(str(repository / "configs" / CONFIG))
        if random
        else demo_utils.load_config(str(job.weight(name)))
    )
    config = OmegaConf.merge(config, OmegaConf.from_dotlist(str(job.parameters["overrides"]).split()))
    config.model.params.first_stage_config.params.ckpt_path = None
    # The transformer's checkpoint holds the video network: its ImageNet start is never needed.
    plain = r2plus1d_18.r2plus1d_18
    r2plus1d_18.r2plus1d_18 = lambda pretrained: plain(pretrained=False)
    device = torch.device(job.device)
    audio_generation.device = device
    sampler = load_model_from_config(config.model, None, gpu=False)["model"].to(device)
    checkpoint = "" if random else str(sorted(job.weight(name).glob("checkpoints/*.ckpt"))[-1])
    notes = kit.fill(job, sampler, checkpoint, "state_dict")
    vocoder = Generator(80, 32, 3)
    notes += kit.fill(job, vocoder, "best_netG.pt", strict=True)
    audio_generation.attach_audio_to_video = lambda *_, **__: None
    audio_generation.draw_spec = lambda *_, **__: None
    return job, (config, sampler, vocoder.to(device).eval(), None), notes


def make(model, clip):
    import audio_generation

    job, parts, notes = model
    if clip.prompt_video is None or clip.prompt_audio is None:
        raise ValueError("an audio-visual prompt is needed")
    long = job.parameters["protocol"] == "official_long"
    scale = math.ceil(clip.duration_s / UNIT_S - 1e-6) if long else 1
    target, prompt = clip.scratch / "target.mp4", clip.scratch / "prompt.mp4"
    seconds = UNIT_S * scale
    loop = ("-stream_loop", "-1", "-i")
    video = ("-r", FPS, "-pix_fmt", "yuv420p", "-t", seconds)
    kit.ffmpeg(*loop, clip.video, *video, target)
    kit.ffmpeg(*loop, clip.prompt_video, *loop, clip.prompt_audio, "-map", "0:v", "-map", "1:a", *video, prompt)
    kit.seed_everything(clip.seed)
    (clip.scratch / "logs").mkdir()
    written = []
    keep = types.SimpleNamespace(write=lambda path, samples, rate, width: written.append((path, samples)))
    audio_generation.soundfile = keep
    before = Path.cwd()
    os.chdir(str(clip.scratch))
    try:
        audio_generation.gen_audio_condImage_fast(
            str(target),
            str(prompt),
            parts,
            target_log_dir="made",
            L=2.0,
            vqgan_L=2.2 if scale == 5 else 2.0,
            using_torch=True,
            outside=True,
            spec_take_first=int(job.parameters["spec_take_first"]),
            W_scale=scale,
            slide_win_mode=str(job.parameters["slide_win_mode"]),
            temperature=float(job.parameters["temperature"]),
            ignore_input_spec=True,
            tmp_path=str(clip.scratch / "tmp"),
        )
    finally:
        os.chdir(str(before))
    sounds = [
        samples for path, samples in written if Path(path).parent.name.startswith("2sec_full_generated_sound")
    ]
    return kit.Sound(sounds[0], RATE, warnings=list(notes))


if __name__ == "__main__":
    kit.main(load, make)
