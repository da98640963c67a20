"""Frieren: CAVP features, mel by rectified flow, BigVGAN, for one window of 8.2 s.

Official code: cyanbx/Frieren-V2A, script/data_preprocess, script/generate_mel_cfm_cfg_scale.py and
script/mel2wav_vocoder.py.
"""

import clapstick_runner as kit
import clapstick_trial

FEATURES, MEL_BANDS = 32, 80


def load(job):
    import torch

    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()

    kit.alias_module("pytorch_lightning.utilities.distributed", "pytorch_lightning.utilities.rank_zero")
    official = job.enter_repository("Frieren", "script/data_preprocess") / "Frieren"
    import extract_cavp_feature
    from cfm.util import instantiate_from_config
    from omegaconf import OmegaConf

    notes = []

    class Features(extract_cavp_feature.Extract_CAVP_Features):
        def init_first_from_ckpt(self, path):
            if not job.parameters["random_weights"]:
                state = kit.load_checkpoint(job, path)
                state = {
                    key.replace("module.", ""): value for key, value in state.get("state_dict", state).items()
                }
                missing, _ = self.stage1_model.load_state_dict(state, strict=False)
                notes.extend([f"CAVP lacks {len(missing)} keys"] if missing else [])

    features = Features(
        fps=4,
        batch_size=40,
        device=torch.device(job.device),
        config_path=str(official / "configs" / "cavp.yaml"),
        ckpt_path="cavp_epoch66.ckpt",
    )
    config = OmegaConf.load(str(official / "configs" / "ldm_training" / "v2a_cfm_cfg_infer.yaml"))
    config.model.params.first_stage_config.params.ckpt_path = None  # the model's checkpoint holds it
    diffusion = instantiate_from_config(config.model)
    notes += kit.fill(job, diffusion, "frieren.ckpt", "state_dict")
    return job, features, diffusion.to(job.device).eval(), load_vocoder(job), notes


def load_vocoder(job):
    from vocoder.bigvgan.models import BigVGAN, VocoderBigVGAN

    if not job.parameters["random_weights"]:
        return VocoderBigVGAN(str(job.weight("bigvgan")), device=job.device).vocode
    import torch
    from omegaconf import OmegaConf

    # 4 x 4 x 2 x 2 x 2 x 2 = 256 samples a mel frame, as the 16 kHz vocoder needs.
    shape = {
        "num_mels": MEL_BANDS,
        "resblock": "1",
        "upsample_rates": [4, 4, 2, 2, 2, 2],
        "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
        "upsample_initial_channel": 256,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
        "activation": "snakebeta",
        "snake_logscale": True,
    }
    vocoder = BigVGAN(OmegaConf.create(shape)).eval()

    def vocode(mel):
        with torch.no_grad():
            return vocoder(torch.from_numpy(mel).unsqueeze(0).float()).squeeze().numpy()

    return vocode


def make(model, clip):
    import torch

    job, features, diffusion, vocode, notes = model
    slow = clip.scratch / "slow.mp4"
    kit.ffmpeg("-i", clip.video, "-an", "-filter:v", "fps=fps=4", slow)
    kit.seed_everything(clip.seed)
    rows = features(str(slow))
    rows = rows[0] if isinstance(rows, tuple) else rows
    if rows.shape[0] < FEATURES:
        raise ValueError(f"{rows.shape[0]} features at 4 fps, {FEATURES} are needed")
    with torch.no_grad():
        condition = torch.as_tensor(rows[:FEATURES]).float().unsqueeze(0).to(job.device)
        latent, _ = diffusion.sample_param_cfg(
            diffusion.get_learned_conditioning(condition),
            cfg_scale=float(job.parameters["guidance"]),
            batch_size=1,
            solver=str(job.parameters["solver"]),
            timesteps=int(job.parameters["time_points"]),
        )
        mel = diffusion.decode_first_stage(latent)
    mel = mel[:, 0] if mel.ndim == 4 else mel
    return kit.Sound(vocode(mel[0].detach().cpu().numpy()), 16000, warnings=list(notes))


if __name__ == "__main__":
    kit.main(load, make)
