"""SpecVQGAN: what its notebook does, for one pass of 9.845 s.

Official code: v-iashin/SpecVQGAN, generation_demo.ipynb, feature_extraction/demo_utils.py and
sample_visualization.py.
"""

import clapstick_runner as kit

ROWS, COLUMNS, DEPTH = 5, 53, 256


def load(job):
    import os

    import torch

    if job.weights is not None:
        os.environ["TORCH_HOME"] = str(job.weights / "torch")
    page = kit.stub_modules("streamlit")[0]
    page.cache, page.warning = (lambda function, **_: function), print
    kit.alias_module("pytorch_lightning.utilities.distributed", "pytorch_lightning.utilities.rank_zero")
    repository = job.enter_repository()
    from feature_extraction import demo_utils
    from omegaconf import OmegaConf
    from sample_visualization import load_model_from_config
    from vocoder.modules import Generator

    device = torch.device(job.device)
    random = job.parameters["random_weights"]
    name = job.parameters["model"]
    if random:
        config = OmegaConf.load(str(repository / "configs" / "vggsound_transformer.yaml"))
        config.data.params.feat_sampler_cfg.params.feat_sample_size = 5
        config.data.params.replace_feats_with_random = False
        config.model.params.transformer_config.params.GPT_config.block_size = ROWS * COLUMNS + 4
        plain = demo_utils.models.resnet50
        demo_utils.models.resnet50 = lambda pretrained: plain(weights=None)
    else:
        config = demo_utils.load_config(str(job.weight(name)))
    overrides = str(job.parameters["overrides"]).split()
    config = OmegaConf.merge(config, OmegaConf.from_dotlist(overrides))
    config.model.params.first_stage_config.params.ckpt_path = None
    sampler = load_model_from_config(config.model, None, gpu=False)["model"].to(device)
    checkpoint = "" if random else str(sorted(job.weight(name).glob("checkpoints/*.ckpt"))[-1])
    notes = kit.fill(job, sampler, checkpoint, "state_dict")
    vocoder = Generator(80, 32, 3)
    notes += kit.fill(job, vocoder, "best_netG.pt", strict=True)
    features = demo_utils.ExtractResNet50(21.5, config.data.params, device)
    return job, sampler, vocoder.to(device).eval(), features, notes


def make(model, clip):
    import torch
    from torch.utils.data.dataloader import default_collate

    job, sampler, vocoder, features, notes = model
    kit.seed_everything(clip.seed)
    features.tmp_path = str(clip.scratch)
    batch = default_collate([features(str(clip.video))[0]])
    batch["feature"] = batch["feature"].to(job.device)
    with torch.no_grad():
        _, condition = sampler.encode_to_c(sampler.get_input(sampler.cond_stage_key, batch))
        indices = sample(sampler, condition, float(job.parameters["temperature"]), int(job.parameters["top_k"]))
        mel = sampler.decode_to_img(indices, (1, DEPTH, ROWS, COLUMNS))
        sound = vocoder((mel.squeeze(0) + 1) / 2).squeeze()
    return kit.Sound(sound, 22050, warnings=list(notes))


def sample(sampler, condition, temperature, top_k):
    """Draw the codebook indices of one pass one by one, column by column."""
    import torch

    drawn = torch.zeros((1, ROWS * COLUMNS), dtype=torch.long, device=condition.device)
    for position in range(ROWS * COLUMNS):
        logits, _, _ = sampler.transformer(drawn[:, :-1], condition)
        logits = logits[:, -ROWS * COLUMNS :][:, position] / temperature
        chances = torch.softmax(sampler.top_k_logits(logits, top_k), dim=-1)
        drawn[:, position] = torch.multinomial(chances, num_samples=1)[:, 0]
    return drawn


if __name__ == "__main__":
    kit.main(load, make)
