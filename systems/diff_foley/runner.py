"""Diff-Foley: what its notebook does, for one window of 8.2 s.

Official code: luosiallen/Diff-Foley, inference/diff_foley_inference.ipynb and inference/demo_util.py.
"""

import clapstick_runner as kit
import clapstick_trial

FEATURES = 32


def load(job):
    import torch

    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    kit.stub_modules("clip")

    kit.alias_module("pytorch_lightning.utilities.distributed", "pytorch_lightning.utilities.rank_zero")
    config = job.enter_repository("inference") / "inference" / "config"
    import demo_util
    from omegaconf import OmegaConf

    notes = []

    class Features(demo_util.Extract_CAVP_Features):
        def init_first_from_ckpt(self, path):
            if not job.parameters["random_weights"]:
                state = kit.load_checkpoint(job, path)
                state = {
                    key.replace("module.", ""): value for key, value in state.get("state_dict", state).items()
                }
                missing, _ = self.stage1_model.load_state_dict(state, strict=False)
                notes.extend([f"CAVP lacks {len(missing)} keys"] if missing else [])

    def build(name, checkpoint):
        model = demo_util.instantiate_from_config(OmegaConf.load(str(config / name)).model)
        notes.extend(kit.fill(job, model, checkpoint, "state_dict"))
        return model.to(job.device).eval()

    features = Features(
        fps=4,
        batch_size=40,
        device=torch.device(job.device),
        config_path=str(config / "Stage1_CAVP.yaml"),
        ckpt_path="cavp_epoch66.ckpt",
    )
    diffusion = build("Stage2_LDM.yaml", "ldm_epoch240.ckpt")
    classifier = build("Double_Guidance_Classifier.yaml", "double_guidance_classifier.ckpt")
    return job, features, diffusion, classifier, notes


def make(model, clip):
    import demo_util
    import torch

    job, features, diffusion, classifier, notes = model
    options = job.parameters
    kit.seed_everything(clip.seed)
    rows, _ = features(str(clip.video), 0, 8.2, tmp_path=str(clip.scratch))
    if rows.shape[0] < FEATURES:
        raise ValueError(f"{rows.shape[0]} features at 4 fps, {FEATURES} are needed")
    condition = torch.from_numpy(rows[:FEATURES]).unsqueeze(0).to(job.device)
    condition = condition.repeat(int(options["candidates"]), 1, 1)
    embedded = diffusion.get_learned_conditioning(condition)
    latent, _ = diffusion.sample_log_with_classifier_diff_sampler(
        embedded,
        origin_cond=condition,
        batch_size=condition.shape[0],
        sampler_name="DPM_Solver",
        ddim_steps=int(options["steps"]),
        unconditional_guidance_scale=float(options["guidance"]),
        unconditional_conditioning=torch.zeros_like(embedded),
        classifier=classifier,
        classifier_guide_scale=float(options["classifier_guidance"]),
    )
    mel = diffusion.decode_first_stage(latent)[0, 0].detach().cpu().numpy()
    sound = (
        demo_util.inverse_op(mel)
        if int(options["mel_rate"]) == 22050
        else invert(mel, int(options["mel_rate"]))
    )
    return kit.Sound(sound, 16000, warnings=list(notes))


def invert(mel, rate):
    """The notebook's inverse with the rate that the mel was made at in training."""
    import librosa

    power = 10 ** ((mel * 100 - 80) / 20)
    spectrum = librosa.feature.inverse.mel_to_stft(power, sr=rate, n_fft=1024, fmin=125, fmax=7600, power=1)
    return librosa.griffinlim(spectrum, hop_length=256)


if __name__ == "__main__":
    kit.main(load, make)
