"""Im2Wav: CLIP features of every frame, then two transformers over VQ-VAE codes, for one window of 4.096 s.

Official code: RoySheffer/im2wav, Data/preprocess/collect_video_CLIP.py and models/sample.py.
"""

import os

import clapstick_runner as kit
import clapstick_trial

SAMPLES, RATE, FRAMES = 65536, 16000, 122
FILES = {"vq": "im2wav/vqvae.tar", "low": "im2wav/low.tar", "up": "im2wav/up.tar"}
RANDOM_SHAPE = {"prior_depth": 3, "prior_width": 64}
"""Of the transformers where weights are random, instead of 48 layers of 1,024 units: tokens come one by one."""


def load(job):
    import torch

    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    kit.stub_modules("wav2clip", "sounddevice")
    repository = job.enter_repository("models")
    os.chdir(str(repository / "models"))
    import clip
    from im2wav_utils import get_model_from_checkpoint, get_model_from_checkpoint_prior
    from models import sample
    from models.utils import dist_adapter

    dist_adapter.is_available = lambda: False  # one process; the official script starts MPI
    device = torch.device(job.device)
    sample.device = device
    sample.hps = {"total_sample_length": SAMPLES}
    if job.parameters["random_weights"]:
        return job, sample, random_priors(device), random_eyes(clip), clip.clip._transform(224)
    codec = get_model_from_checkpoint(str(job.weight(FILES["vq"])), device)
    low = get_model_from_checkpoint_prior(str(job.weight(FILES["low"])), codec, device)
    high = get_model_from_checkpoint_prior(str(job.weight(FILES["up"])), codec, device)
    eyes, prepare = clip.load(str(job.weight("ViT-B-32.pt")), device=device)
    return job, sample, [high, low], eyes.eval(), prepare


def random_priors(device):
    """The networks of the training commands in the official README, but for the size of the transformers."""
    import torch
    from models.hparams import setup_hparams
    from models.make_models import make_prior, make_vqvae

    def shape(names, **more):
        more.update(sample_length=SAMPLES, train=False)
        return setup_hparams("small_multi_level_vqvae" + names, more)

    codec = make_vqvae(shape(""), device)
    for block in codec.bottleneck.level_blocks:  # zero before training: all tokens would sound alike
        torch.nn.init.normal_(block.k)
    same = {"prior": True, "labels": True, "clip_emb": True, "levels": 2, **RANDOM_SHAPE}
    low = shape(
        ",small_labelled_prior", level=1, n_ctx=2048, video_clip_emb=True, class_free_guidance_prob=0.5, **same
    )
    high = shape(",small_upsampler", level=0, n_ctx=8192, **same)
    return [make_prior(high, codec, device), make_prior(low, codec, device)]


def random_eyes(clip):
    """ViT-B/32 of CLIP; its text tower is not used and has one layer."""
    eyes = clip.model.CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 1)
    return eyes.float().eval()


def make(model, clip):
    import numpy as np
    import torch

    job, sample, priors, eyes, prepare = model
    with torch.no_grad():
        rows = look(eyes, prepare, clip, job.device)[:FRAMES]
        place = np.array([sample.VIDEO_TOTAL_LENGTHS, 0, SAMPLES], dtype=np.int64)
        each = np.concatenate([np.tile(place, (len(rows), 1)), rows], axis=1, dtype=np.float32)
        mean = np.concatenate([place, rows.mean(axis=0)], dtype=np.float32)
        kit.seed_everything(clip.seed)
        levels = sample.multi_level_sample_window(
            priors,
            torch.from_numpy(mean[None]).to(job.device),
            torch.from_numpy(each[None]).to(job.device),
            1,
            0,
            top_p=float(job.parameters["top_p"]),
            cfg_s=float(job.parameters["guidance"]),
            hop_fraction=None,
            total_sample_length=SAMPLES,
        )
    return kit.Sound(levels[-1][0, :, 0], RATE)


def look(eyes, prepare, clip, device):
    """CLIP features of each frame, of length one, (frames, 512)."""
    import cv2
    import torch
    from PIL import Image

    capture = cv2.VideoCapture(str(clip.video))
    rows = []
    while True:
        there, picture = capture.read()
        if not there:
            break
        shown = prepare(Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))).unsqueeze(0).to(device)
        rows.append(eyes.encode_image(shown))
    capture.release()
    if len(rows) < FRAMES:
        raise ValueError(f"{len(rows)} frames, {FRAMES} are needed")
    features = torch.cat(rows).float()
    return (features / features.norm(dim=-1, keepdim=True)).cpu().numpy()


if __name__ == "__main__":
    kit.main(load, make)
