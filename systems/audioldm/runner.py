"""AudioLDM: text to sound; the picture is not read.

Official code: haoheliu/AudioLDM, audioldm/pipeline.py.
"""

import math
import os

import clapstick_runner as kit
import clapstick_trial


def load(job):
    import torch

    random = job.parameters["random_weights"]
    if random:
        clapstick_trial.random_roberta(job.clips[0].scratch.parent / "roberta")
    elif job.weights is not None:
        os.environ["HF_HOME"] = str(job.weights / "huggingface")
    job.enter_repository()
    from audioldm import LatentDiffusion
    from audioldm.utils import default_audioldm_config

    config = default_audioldm_config(str(job.parameters["model"]))
    config["model"]["params"]["device"] = torch.device(job.device)
    config["model"]["params"]["cond_stage_key"] = "text"
    model = LatentDiffusion(**config["model"]["params"])
    notes = kit.fill(job, model, "{}.ckpt".format(job.parameters["model"]), "state_dict")
    model = model.eval().to(job.device)
    model.cond_stage_model.embed_mode = "text"
    model.cond_stage_model.unconditional_prob = float(job.parameters["prompt_dropout"])
    return job, model, notes


def make(model, clip):
    from audioldm.pipeline import text_to_audio

    job, diffusion, notes = model
    if not clip.text:
        raise ValueError("a text prompt is needed")
    sound = text_to_audio(
        diffusion,
        clip.text,
        seed=clip.seed,
        ddim_steps=int(job.parameters["steps"]),
        duration=2.5 * math.ceil(clip.duration_s / 2.5 - 1e-6),
        guidance_scale=float(job.parameters["guidance"]),
        n_candidate_gen_per_text=int(job.parameters["candidates"]),
    )
    return kit.Sound(sound.reshape(-1), 16000, warnings=list(notes))


if __name__ == "__main__":
    kit.main(load, make)
