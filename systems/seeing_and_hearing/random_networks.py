"""Networks of the shape of AudioLDM-m-full and ImageBind-huge with random weights, to try an installation.

The figures are those of the configuration files of ``cvssp/audioldm-m-full``.
"""

CHANNELS = (192, 384, 576, 960)
CLAP_WIDTH = 512


def random_pipeline(job):
    """Return the official pipeline over random networks; towers of ImageBind have one layer."""
    import clapstick_trial
    import transformers
    from audioldm.models.unet import UNet2DConditionModel
    from audioldm.pipelines import pipeline_audioldm
    from diffusers import AutoencoderKL, DDIMScheduler

    clapstick_trial.random_roberta(job.clips[0].scratch.parent / "roberta")
    down, up = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    network = UNet2DConditionModel(
        sample_size=128,
        in_channels=8,
        out_channels=8,
        down_block_types=("DownBlock2D", down, down, down),
        up_block_types=(up, up, up, "UpBlock2D"),
        block_out_channels=CHANNELS,
        cross_attention_dim=CHANNELS,
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=CLAP_WIDTH,
        class_embeddings_concat=True,
    )
    autoencoder = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(128, 256, 512),
        layers_per_block=2,
        latent_channels=8,
        sample_size=512,
        scaling_factor=0.9138255715370178,
    )
    vocoder = transformers.SpeechT5HifiGanConfig(
        model_in_dim=64,
        sampling_rate=16000,
        upsample_initial_channel=1024,
        upsample_rates=[5, 4, 2, 2, 2],
        upsample_kernel_sizes=[16, 16, 8, 4, 4],
        normalize_before=False,
    )
    text = transformers.ClapTextConfig(projection_dim=CLAP_WIDTH)
    use_random_imagebind(pipeline_audioldm.imagebind_model)
    return pipeline_audioldm.AudioLDMPipeline(
        vae=autoencoder,
        text_encoder=transformers.ClapTextModelWithProjection(text),
        tokenizer=transformers.RobertaTokenizer.from_pretrained("roberta-base"),
        unet=network,
        scheduler=DDIMScheduler(
            beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False
        ),
        vocoder=transformers.SpeechT5HifiGan(vocoder),
    )


def use_random_imagebind(module):
    """Let the official code, which loads ImageBind for each clip, get one random network each time."""
    network = module.ImageBindModel(
        vision_embed_dim=1280,
        vision_num_blocks=1,
        vision_num_heads=16,
        text_embed_dim=1024,
        text_num_blocks=1,
        text_num_heads=16,
        audio_num_blocks=1,
        out_embed_dim=1024,
        audio_drop_path=0.1,
        imu_drop_path=0.7,
    )
    module.imagebind_huge = lambda pretrained: network
