"""Video-Foley: RMS from video, then AudioLDM with an RMS ControlNet, for one window of 10 s.

Official code: jnwnlee/video-foley, infer_by_video.py and util.py, with jakeoneijk/RMS_ControlNet_Inference.
"""

import os

import clapstick_runner as kit
import clapstick_trial

RATE, SECONDS, ROWS = 16000, 10, 300
OFFICIAL_PEAK = 0.8


def load(job):
    import torch

    random = job.parameters["random_weights"]
    if job.weights is not None:
        os.environ["TORCH_HOME"] = str(job.weights / "torch")
        os.environ["HF_HOME"] = str(job.weights / "huggingface")
    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    if random:
        clapstick_trial.random_roberta(job.clips[0].scratch.parent / "roberta")
    kit.alias_module("pytorch_lightning.utilities.distributed", "pytorch_lightning.utilities.rank_zero")
    inner = "RMS_ControlNet_Inference"
    audioldm = inner + "/AudioLDMControlNetInfer/Model/AudioLdm"
    job.enter_repository("preprocess", inner, audioldm, inner + "/TorchJAEKWON")
    kit.without_training_loss("audioldm_train.losses", "LPIPSWithDiscriminator")
    import model as first_stage
    from AudioLDMControlNetInfer.AudioLDMControlNet import AudioLDMControlNet
    from config import _C as config  # noqa: N811 - the official name

    if job.device == "cpu":
        first_stage.init_net = lambda network, _: torch.nn.DataParallel(network)
    if not random:
        from util import load_config

        config = load_config(str(job.weight("opts.yml")))
    first = first_stage.Video2Sound(config)
    second = AudioLDMControlNet(control_net_pretrained_path=None, device=torch.device(job.device))
    if random:
        notes = ["weights are random"]
    else:
        first.load_checkpoint(str(job.weight("checkpoint_000500_Video2RMS.pt"))[: -len("_Video2RMS.pt")])
        notes = kit.fill(job, second.model, "ControlNetstep300000.pth")
    second.model = second.model.to(job.device).eval()
    drop_prompts(second.model, float(job.parameters["prompt_dropout"]))
    return job, config, first.to(job.device).eval(), second, notes


def drop_prompts(diffusion, chance):
    """Set how often the prompt is dropped: a switch of training that the released inference leaves on."""
    for part in diffusion.cond_stage_models:
        if hasattr(part, "unconditional_prob"):
            part.unconditional_prob = chance


def make(model, clip):
    import librosa
    import torch
    from data_utils import RMS
    from util import interpolate_rms_for_rms2sound

    job, config, first, second, notes = model
    rows = random_rows(clip) if job.parameters["random_weights"] else features(job, clip)
    with torch.no_grad():
        shown = torch.from_numpy(rows).float().unsqueeze(0).to(job.device)
        first.parse_batch((shown, torch.zeros(1, config.data.rms_samples).to(job.device), None, None))
        first.forward()
        bins = first.pred_rms[0].detach().cpu().argmax(dim=0)
        edges = RMS.get_mu_bins(config.data.rms_mu, config.data.rms_num_bins, config.data.rms_min)
        curve = RMS.undiscretize_rms(bins, edges, ignore_min=True).detach().cpu().unsqueeze(0)
        control = interpolate_rms_for_rms2sound(curve, audio_len=SECONDS, sr=RATE, frame_len=1024, hop_len=160)
        if clip.prompt_audio is not None:
            sound, _ = librosa.load(str(clip.prompt_audio), sr=RATE)
            prompt = {"waveform": torch.from_numpy(sound).reshape(1, 1, -1).to(job.device), "text": [None]}
        elif clip.text:
            prompt = {"waveform": None, "text": [clip.text]}
        else:
            raise ValueError("a text or audio prompt is needed")
        kit.seed_everything(clip.seed)
        condition = control.unsqueeze(1).unsqueeze(-1).to(job.device).float()
        made = second.model.generate_sample(
            [{**prompt, "control_net_condition": condition}],
            unconditional_guidance_scale=float(job.parameters["guidance"]),
            ddim_steps=int(job.parameters["steps"]),
            clap_embed_mode="audio" if prompt["text"] == [None] else "text",
        )[0]
    made = made.reshape(-1) * (float(job.parameters["peak"]) / OFFICIAL_PEAK)
    envelope = curve.reshape(-1).tolist()
    return kit.Sound(made, RATE, warnings=list(notes), predictions={"envelope": envelope})


def random_rows(clip):
    """Stand for the features where weights are random: RAFT and BN-Inception come as downloads."""
    import numpy as np

    return np.random.default_rng(clip.seed).normal(0.0, 1.0, (ROWS, 2048))


def features(job, clip):
    """RGB and optical-flow rows of BN-Inception, (300, 2048)."""
    import pickle

    import numpy as np
    from data_utils import pad_or_truncate_feature
    from preprocess.extract_feature import extract_bn_inception_feature
    from preprocess.extract_rgb_flow_raft import cal_for_frames

    pictures = clip.scratch / "pictures"
    pictures.mkdir()
    cal_for_frames(str(clip.video), str(pictures), ROWS, 344, 256, int(job.parameters.get("flow_batch", 16)))
    names = clip.scratch / "names.txt"
    names.write_text(clip.video.stem + "\n")
    rows = []
    for modality in ("RGB", "Flow"):
        folder = clip.scratch / modality
        extract_bn_inception_feature(
            input_dir=str(pictures), output_dir=str(folder), modality=modality, test_list=str(names), workers=0
        )
        with (folder / (clip.video.stem + ".pkl")).open("rb") as stream:
            made = np.asarray(pickle.load(stream))  # noqa: S301 - written a moment ago by the line above
        rows.append(pad_or_truncate_feature(made, ROWS))
    return np.concatenate(rows, axis=1)


if __name__ == "__main__":
    kit.main(load, make)
