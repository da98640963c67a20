"""ReWaS: energy from video, then AudioLDM with an energy adapter, for one window of 5 s.

Official code: naver-ai/rewas, test.py and audioldm/pipeline.py.
"""

import os

import clapstick_runner as kit
import clapstick_trial

SYNCHFORMER = "24-01-04T16-39-21"


def load(job):
    import torch
    import yaml

    random = job.parameters["random_weights"]
    if job.weights is not None:
        os.environ["HF_HOME"] = str(job.weights / "huggingface")
    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    if random:
        clapstick_trial.random_roberta(job.clips[0].scratch.parent / "roberta")
    kit.alias_module("pytorch_lightning.utilities.distributed", "pytorch_lightning.utilities.rank_zero")
    clapstick_trial.old_torchvision()
    editor = kit.stub_modules("moviepy.editor")[0]
    editor.VideoFileClip = editor.AudioFileClip = None
    repository = job.enter_repository()
    from audioldm import pipeline
    from encoder import encoder_utils
    from encoder.phi import Phi
    from omegaconf import OmegaConf

    kit.without_training_loss("audioldm.losses", "LPIPSWithDiscriminator")
    if random:
        use_random_vocoder()
    text = (repository / "configs" / "audioldm_m_rewas.yaml").read_text()
    config = on_weights(yaml.safe_load(text), job)
    config["model"]["params"]["cond_stage_key"] = "text"
    if random:
        for part in config["model"]["params"]["cond_stage_config"].values():
            if "pretrained_path" in part["params"]:
                part["params"]["pretrained_path"] = ""  # CLAP takes no None
    diffusion = pipeline.ReWaS(**config["model"]["params"])
    notes = kit.fill(job, diffusion, "audioldm_m_rewas_vggsound.ckpt", "state_dict")
    diffusion = diffusion.eval().to(job.device)
    index = diffusion.cond_stage_model_metadata["film_clap_cond1"]["model_idx"]
    diffusion.cond_stage_models[index].embed_mode = "text"
    diffusion.cond_stage_models[index].unconditional_prob = float(job.parameters["prompt_dropout"])
    diffusion.control_key = "energy"

    synchformer = encoder_utils.patch_config(
        OmegaConf.load(str(repository / "configs" / f"cfg-{SYNCHFORMER}.yaml"))
    )
    synchformer.model.params.vfeat_extractor.is_trainable = False
    _, network = encoder_utils.get_model(synchformer, torch.device(job.device))
    kit.fill(job, network, SYNCHFORMER + ".pt", "model")
    if job.device == "cpu":
        clapstick_trial.single_precision(network.vfeat_extractor)
    phi = Phi()
    if not random:
        state = kit.load_checkpoint(job, "phi_vggsound.ckpt")
        phi.load_state_dict({key.replace("module.", ""): value for key, value in state.items()})
    pipeline.save_video = lambda *_: None
    pipeline.multiprocessing.Pool = NoPool
    return job, diffusion, synchformer, network.vfeat_extractor.eval(), phi.to(job.device).eval(), notes


def use_random_vocoder():
    from audioldm.latent_encoder import autoencoder
    from audioldm.utilities import model_util

    def get_vocoder(_, device, __):
        vocoder = model_util.hifigan.Generator(model_util.hifigan.AttrDict(model_util.HIFIGAN_16K_64)).eval()
        vocoder.remove_weight_norm()
        return vocoder.to(device)

    autoencoder.get_vocoder = get_vocoder


class NoPool:
    """The official code starts a process a core for each clip to write a video that nobody asked for."""

    def __init__(self, processes=None):
        pass

    def starmap(self, *_):
        pass

    close = join = lambda self: None


def on_weights(value, job):
    """Point every path into ``ckpts`` at the weights folder; None where weights are random."""
    if isinstance(value, dict):
        return {key: on_weights(one, job) for key, one in value.items()}
    if isinstance(value, list):
        return [on_weights(one, job) for one in value]
    if isinstance(value, str) and "ckpts/" in value:
        return None if job.parameters["random_weights"] else str(job.weight(value.split("ckpts/")[-1]))
    return value


def make(model, clip):
    from audioldm.pipeline import rewas_generation

    job, diffusion, synchformer, network, phi, notes = model
    if not clip.text:
        raise ValueError("a text prompt is needed")
    caught = {}
    generate = type(diffusion).generate_sample

    def generate_sample(batches, **named):
        made = generate(diffusion, batches, **named)
        caught.update(sound=made[0], energy=batches[0]["energy"])
        return made

    diffusion.generate_sample = generate_sample
    rewas_generation(
        diffusion,
        clip.text,
        str(clip.video),
        "energy_video",
        SYNCHFORMER,
        synchformer,
        network,
        phi,
        None,
        clip.seed,
        duration=5.0,
        guidance_scale=float(job.parameters["guidance"]),
        ddim_steps=int(job.parameters["steps"]),
        n_candidate_gen_per_text=int(job.parameters["candidates"]),
        batchsize=1,
        save_path=str(clip.scratch),
        re_encode=False,  # the copy has 25 frames a second already
        local_rank=0,
    )
    energy = caught["energy"].reshape(-1).tolist()
    return kit.Sound(caught["sound"].reshape(-1), 16000, warnings=list(notes), predictions={"envelope": energy})


if __name__ == "__main__":
    kit.main(load, make)
