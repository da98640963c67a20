"""MMAudio: what demo.py does for one video.

Official code: hkchengrex/MMAudio, demo.py and mmaudio/eval_utils.py.
"""

import contextlib
import types

import clapstick_runner as kit

VOCODER_44K = {
    "num_mels": 128,
    "resblock": "1",
    "upsample_rates": [8, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [16, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "activation": "snakebeta",
    "snake_logscale": True,
    "use_bias_at_final": False,
    "use_tanh_at_final": False,
}
"""BigVGAN v2 as its configuration file has it, where weights are random."""


def load(job):
    import os

    import torch

    random = job.parameters["random_weights"]
    if job.weights is not None:
        os.environ["HF_HOME"] = str(job.weights / "huggingface")
    job.enter_repository()
    from mmaudio.eval_utils import all_model_cfg
    from mmaudio.model.flow_matching import FlowMatching
    from mmaudio.model.networks import get_my_mmaudio
    from mmaudio.model.utils.features_utils import FeaturesUtils

    variant = str(job.parameters["variant"])
    dtype = torch.float32 if job.parameters["full_precision"] or job.device == "cpu" else torch.bfloat16
    with random_parts() if random else contextlib.nullcontext():
        net = get_my_mmaudio(all_model_cfg[variant].model_name)
        if random:  # the official initial values are not numbers
            net.latent_mean.data.zero_()
            net.latent_std.data.fill_(1.0)
            kit.draw_zero_layers(net)
        else:
            net.load_weights(kit.load_checkpoint(job, f"mmaudio_{variant}.pth"))
        large = all_model_cfg[variant].mode == "44k"
        place = {} if random else {"root": job.weights}
        features = FeaturesUtils(
            tod_vae_ckpt=weight(place, "v1-44.pth" if large else "v1-16.pth"),
            synchformer_ckpt=weight(place, "synchformer_state_dict.pth"),
            enable_conditions=True,
            mode=all_model_cfg[variant].mode,
            bigvgan_vocoder_ckpt=None if large else weight(place, "best_netG.pt"),
            need_vae_encoder=False,
        )
    flow = FlowMatching(min_sigma=0, inference_mode="euler", num_steps=int(job.parameters["steps"]))
    net, features = net.to(job.device, dtype).eval(), features.to(job.device, dtype).eval()
    return job, net, features, flow, all_model_cfg[variant].seq_cfg, ["weights are random"] if random else []


def weight(place, name):
    return str(place["root"] / name) if place else "random"


@contextlib.contextmanager
def random_parts():
    """Build every part with its initial values: nothing is read, nothing is downloaded."""
    import open_clip
    import torch
    from mmaudio.ext.autoencoder import autoencoder
    from mmaudio.ext.bigvgan_v2.env import AttrDict
    from mmaudio.model.utils import features_utils

    kept = torch.load, torch.nn.Module.load_state_dict, features_utils.create_model_from_pretrained
    vocoder = autoencoder.BigVGANv2
    torch.load = lambda *_, **__: {"generator": {}}
    torch.nn.Module.load_state_dict = lambda *_, **__: None
    small = {"embed_dim": 1024, "vision_cfg": {"image_size": 384, "layers": 2, "width": 256, "patch_size": 14}}
    small["text_cfg"] = {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 2}
    small["vision_cfg"]["head_width"] = 64
    features_utils.create_model_from_pretrained = lambda *_, **__: open_clip.CLIP(**small)
    random_vocoder = types.SimpleNamespace(from_pretrained=lambda *_, **__: vocoder(AttrDict(VOCODER_44K)))
    autoencoder.BigVGANv2 = random_vocoder
    try:
        yield
    finally:
        torch.load, torch.nn.Module.load_state_dict, features_utils.create_model_from_pretrained = kept
        autoencoder.BigVGANv2 = vocoder


def make(model, clip):
    import torch
    from mmaudio.eval_utils import generate, load_video

    job, net, features, flow, sequence, notes = model
    video = load_video(clip.video, clip.duration_s, load_all_frames=False)
    if abs(video.duration_sec - clip.duration_s) > 1e-6:
        notes = [*notes, f"the official reader found {video.duration_sec:.3f} s of {clip.duration_s:.3f} s"]
    sequence.duration = video.duration_sec
    net.update_seq_lengths(sequence.latent_seq_len, sequence.clip_seq_len, sequence.sync_seq_len)
    generator = torch.Generator(device=job.device)
    generator.manual_seed(clip.seed)
    with torch.inference_mode():
        sound = generate(
            video.clip_frames.unsqueeze(0),
            video.sync_frames.unsqueeze(0),
            [clip.text or ""],
            negative_text=[str(job.parameters["negative_prompt"])],
            feature_utils=features,
            net=net,
            fm=flow,
            rng=generator,
            cfg_strength=float(job.parameters["guidance"]),
        )
    return kit.Sound(sound.float().cpu()[0].reshape(-1), sequence.sampling_rate, warnings=list(notes))


if __name__ == "__main__":
    kit.main(load, make)
