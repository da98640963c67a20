"""V-AURA: codec tokens from synchronised visual features, in strides of 0.64 s.

Official code: ilpoviertola/V-AURA, scripts/generate.py and configs/generate_vgg.yaml.
"""

import math

import clapstick_runner as kit
import clapstick_trial

RATE, FPS, SEGMENT_FRAMES = 44100, 25, 16
TOKENS_A_SECOND, CONTEXT_S, STRIDE_S = 86, 2.56, 0.64


def load(job):
    import torch

    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    clapstick_trial.old_torchvision()
    job.enter_repository()
    if job.parameters["random_weights"]:
        return job, random_model(job)
    from models.vaura_model import VAURAModel
    from omegaconf import OmegaConf

    shape = OmegaConf.load(str(job.weight("v-aura/hparams.yaml")))
    shape.feature_extractor_config.params.ckpt_path = str(job.weight("segment_avclip/best.pt"))
    path = job.clips[0].scratch.parent / "hparams.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(shape, str(path))
    checkpoint = str(sorted(job.weight("v-aura").glob("*.ckpt"))[-1])
    device = torch.device(job.device)
    model = VAURAModel.load_from_checkpoint(checkpoint, hparams_file=str(path), map_location=device)
    model.sampler.audio_tokens_per_video_frame = 7
    return job, model.eval()


def random_model(job):
    """The networks of the official experiment, the transformer with one layer instead of 24."""
    import dac
    import torch
    from models.vaura_model import VAURAModel
    from omegaconf import OmegaConf

    codec = dac.DAC(sample_rate=RATE)
    dac.utils.download = lambda **_: None
    dac.DAC.load = lambda _: codec

    def part(name):
        return OmegaConf.to_container(OmegaConf.load(str(job.repository / "configs" / "modules" / name)))

    eyes, sampler = part("feature_extractors/avclip_vggsound.yaml"), part("samplers/llama_9cbs.yaml")
    eyes["params"]["ckpt_path"] = None
    sampler["params"]["num_layers"] = 1
    model = VAURAModel(
        feature_extractor_config=eyes,
        audio_encoder_config=part("audio_codecs/dac_8kbps_wrapper.yaml"),
        sampler_config=sampler,
        visual_bridge_config=part("bridges/dummy_bridge.yaml"),
        pattern_provider_config=part("codebook_patterns/delayed_9cbs.yaml"),
        freeze_feature_extractor=True,
        flatten_vis_feats=True,
    )
    model.sampler.audio_tokens_per_video_frame = 7
    kit.draw_zero_layers(model)
    torch.nn.init.zeros_(model.sampler.empty_video_emb)
    if job.device == "cpu":
        codec.float()
    return model.to(job.device).eval()


def make(model, clip):
    import torch

    job, network = model
    options = job.parameters
    segments = read_segments(clip).to(job.device)
    duration_s = max(CONTEXT_S, STRIDE_S * math.ceil(clip.duration_s / STRIDE_S - 1e-6))
    sampling = {
        "return_sampled_indices": True,
        "use_sampling": True,
        "temp": float(options["temperature"]),
        "top_k": int(options["top_k"]),
        "top_p": 0.0,
        "remove_prompts": False,
        "prompt_is_encoded": True,
        "cfg_scale": float(options["guidance"]),
    }
    kit.seed_everything(clip.seed)
    stride, total = int(TOKENS_A_SECOND * STRIDE_S), int(TOKENS_A_SECOND * duration_s)
    pieces, prompt, offset, known = [], None, 0, 0
    with torch.no_grad():
        while offset + known < total:
            start_s = offset / TOKENS_A_SECOND
            chunk_s = min(duration_s - start_s, CONTEXT_S)
            first = math.ceil(start_s * FPS)
            last = first + math.ceil(chunk_s * FPS)
            shown = torch.arange(first // SEGMENT_FRAMES, last // SEGMENT_FRAMES, device=job.device)
            made = network.generate(
                frames=segments[:, shown % segments.shape[1]],
                audio=prompt,
                clip_indices=None,
                max_new_tokens=math.ceil(chunk_s * TOKENS_A_SECOND),
                **sampling,
            )["sampled_indices"]
            pieces.append(made[:, :, known:])
            prompt = made[:, :, stride:]
            known = prompt.shape[-1]
            offset += stride
        tokens = torch.cat(pieces, dim=-1)[:, : network.num_codebooks]
        sound = network.audio_encoder.decode([(tokens, None)])
    return kit.Sound(sound[0].reshape(-1), RATE)


def read_segments(clip):
    """Frames as the features were trained on, in segments: (1, segments, 3, 16, 224, 224)."""
    import torch
    from torchvision.io import read_video
    from torchvision.transforms import v2

    frames, _, _ = read_video(str(clip.video), output_format="TCHW", pts_unit="sec")
    count = frames.shape[0] // SEGMENT_FRAMES
    if count == 0:
        raise ValueError(f"{frames.shape[0]} frames, {SEGMENT_FRAMES} are needed")
    resized = v2.CenterCrop((224, 224))(v2.Resize(256, antialias=True)(frames[: count * SEGMENT_FRAMES]))
    scaled = (resized.to(torch.float32) / 255 - 0.5) / 0.5
    return scaled.reshape(1, count, SEGMENT_FRAMES, 3, 224, 224).permute(0, 1, 3, 2, 4, 5)


if __name__ == "__main__":
    kit.main(load, make)
