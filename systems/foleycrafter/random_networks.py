"""Narrow random networks in place of the files of Auffusion and FoleyCrafter, to try an installation.

Blocks, inputs and outputs are those of Auffusion, which was trained from Stable Diffusion 1.5. Its networks are
320 to 1,280 channels wide (autoencoder: 128 to 512), which would take minutes a step on a CPU. The vocoder is
HiFi-GAN on 256 mels with a hop of 160 samples.
"""

CHANNELS, AUTOENCODER_CHANNELS = (64, 128, 256, 256), (32, 64, 128, 128)
WIDTH, IMAGE_WIDTH, IMAGE_TOKENS = 768, 1024, 4
VOCODER = {
    "resblock": "1",
    "num_mels": 256,
    "upsample_initial_channel": 512,
    "upsample_rates": [5, 4, 2, 2, 2],
    "upsample_kernel_sizes": [11, 8, 4, 4, 4],
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
}


def use_random_networks(inference, folder):
    """Put random networks where the official script loads files; `folder` takes the byte tokenizer's files."""
    import torch
    from foleycrafter.pipelines import auffusion_pipeline

    def vocoder(*_, **__):
        network = inference.Generator(auffusion_pipeline.AttrDict(VOCODER)).eval()
        network.remove_weight_norm()
        return network

    def image_encoder(*_, **__):
        import transformers

        shape = transformers.CLIPVisionConfig(
            hidden_size=1280,
            intermediate_size=5120,
            num_hidden_layers=1,
            num_attention_heads=16,
            patch_size=14,
            projection_dim=IMAGE_WIDTH,
            hidden_act="gelu",
        )
        return transformers.CLIPVisionModelWithProjection(shape)

    pipeline = random_pipeline(folder)
    load_adapter = pipeline.load_ip_adapter
    pipeline.load_ip_adapter = lambda _, **named: load_adapter(random_adapter(pipeline.unet), **named)
    inference.Generator.from_pretrained = vocoder
    inference.torch_utils.load_model = lambda _, network, **__: (network.eval(), 0)
    inference.build_foleycrafter = lambda: pipeline
    inference.CLIPVisionModelWithProjection.from_pretrained = image_encoder
    inference.torch = SparesTorch(torch)


class SparesTorch:
    """torch as the script sees it, whose checkpoints are empty: adapters keep their initial values."""

    def __init__(self, torch):
        self._torch = torch

    def __getattr__(self, name):
        return getattr(self._torch, name)

    def load(self, _):
        return {}


def random_pipeline(folder):
    """Return the official pipeline over random networks."""
    import clapstick_runner as kit
    import clapstick_trial
    import transformers
    from diffusers import AutoencoderKL, ControlNetModel, PNDMScheduler
    from foleycrafter.models.auffusion_unet import UNet2DConditionModel
    from foleycrafter.pipelines.pipeline_controlnet import StableDiffusionControlNetPipeline

    network = UNet2DConditionModel(sample_size=64, cross_attention_dim=WIDTH, block_out_channels=CHANNELS)
    control = ControlNetModel.from_unet(network, conditioning_channels=1)
    kit.draw_zero_layers(control)  # or no onset is let through
    text = transformers.CLIPTextConfig(hidden_size=WIDTH, intermediate_size=3072, num_attention_heads=12)
    return StableDiffusionControlNetPipeline(
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=AUTOENCODER_CHANNELS,
            layers_per_block=2,
            sample_size=512,
        ),
        controlnet=control,
        unet=network,
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True
        ),
        tokenizer=clapstick_trial.byte_clip_tokenizer(folder),
        text_encoder=transformers.CLIPTextModel(text),
        feature_extractor=None,
        safety_checker=None,
        requires_safety_checker=False,
    )


def random_adapter(network):
    """Return a state of the image adapter: a projection to four tokens, and attention to them."""
    import torch

    state = {
        "proj.weight": torch.randn(IMAGE_TOKENS * WIDTH, IMAGE_WIDTH) / 32,
        "proj.bias": torch.zeros(IMAGE_TOKENS * WIDTH),
        "norm.weight": torch.ones(WIDTH),
        "norm.bias": torch.zeros(WIDTH),
    }
    attention = {}
    crossing = [name for name in network.attn_processors if name.endswith("attn2.processor")]
    for index, name in enumerate(crossing):
        width = network.get_submodule(name.rsplit(".", 1)[0]).to_k.out_features
        for part in ("to_k_ip", "to_v_ip"):
            attention[f"{2 * index + 1}.{part}.weight"] = torch.randn(width, WIDTH) / 28
    return {"image_proj": state, "ip_adapter": attention}
