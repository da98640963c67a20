"""SyncFusion: onsets from video, then waveform diffusion on onsets and a prompt, for one window.

Official code: mcomunita/syncfusion, main/module_onset.py, main/module_diffusion.py, main/generation.py.
"""

import os

import clapstick_runner as kit
import clapstick_trial

RATE, LENGTH, FPS, CHUNK_FRAMES = 48000, 262144, 15, 30
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load(job):
    random = job.parameters["random_weights"]
    if random:
        clapstick_trial.random_roberta(job.clips[0].scratch.parent / "roberta")
    elif job.weights is not None:
        os.environ["HF_HOME"] = str(job.weights / "huggingface")
    kit.stub_modules("wandb")
    repository = job.enter_repository()
    import hydra
    from main.onset_net import VideoOnsetNet
    from omegaconf import OmegaConf

    onset = VideoOnsetNet(pretrained=False)
    notes = []
    if not random:
        state = kit.load_checkpoint(job, "onset.ckpt")["state_dict"]
        onset.load_state_dict(
            {key[len("model.") :]: value for key, value in state.items() if key.startswith("model.")}
        )
    config = OmegaConf.load(str(repository / "exp" / "model" / "diffusion.yaml"))
    config = OmegaConf.merge(config, OmegaConf.from_dotlist(str(job.parameters["overrides"]).split()))
    diffusion = hydra.utils.instantiate(config.model.model)
    encoder = hydra.utils.instantiate(config.model.onsets_encoder)
    if not random:
        state = kit.load_checkpoint(job, "diffusion.ckpt")["state_dict"]
        for name, part in (("model.", diffusion), ("onsets_encoder.", encoder)):
            part.load_state_dict(
                {key[len(name) :]: value for key, value in state.items() if key.startswith(name)}
            )
    else:
        notes = ["weights are random"]
    parts = [part.to(job.device).eval() for part in (onset, diffusion, encoder)]
    return (job, *parts, load_clap(job, random), notes)


def load_clap(job, random):
    """CLAP; with random weights none, because importing laion_clap downloads tokenizers."""
    if random:
        return None
    import laion_clap

    clap = laion_clap.CLAP_Module(enable_fusion=False, amodel="HTSAT-tiny")
    clap.load_ckpt(str(job.weight("630k-audioset-best.pt")))
    return clap.to(job.device).eval()


def make(model, clip):
    import torch

    job, onset, diffusion, encoder, clap, notes = model
    options = job.parameters
    with torch.no_grad():
        times = find_onsets(onset, read_frames(clip), float(options["onset_threshold"]), job.device)
        track = torch.zeros((1, 1, LENGTH), device=job.device)
        for time_s in times:
            track[0, 0, min(round(time_s * RATE), LENGTH - 1)] = 1.0
        embedding = embed(clap, clip, job.device)
        kit.seed_everything(clip.seed)
        _, latent = encoder(track, with_info=True)
        sound = diffusion.sample(
            x_noisy=torch.randn((1, 1, LENGTH), device=job.device),
            num_steps=int(options["steps"]),
            channels=latent["xs"][2:-1],
            embedding=embedding,
            embedding_scale=float(options["guidance"]),
        )[0, 0]
    if options["cut_prefix"] and times:
        sound[: round(times[0] * RATE)] = 0.0
    told = list(notes) if times else [*notes, "no onset was predicted in this window"]
    return kit.Sound(sound, RATE, warnings=told, predictions={"onset_times_s": times})


def read_frames(clip):
    """Frames at 15 fps as the network was trained on: 320 x 240, then 112 x 112, ImageNet statistics."""
    import cv2
    import torch

    capture = cv2.VideoCapture(str(clip.video))
    frames = []
    while True:
        there, picture = capture.read()
        if not there:
            break
        picture = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), (320, 240))
        frames.append(torch.from_numpy(cv2.resize(picture, (112, 112))))
    capture.release()
    if not frames:
        raise ValueError("the video has no frame")
    pictures = torch.stack(frames).float() / 255
    return ((pictures - torch.tensor(MEAN)) / torch.tensor(DEVIATION)).permute(3, 0, 1, 2)


def find_onsets(network, frames, threshold, device):
    """Onset times in seconds, from chunks of 2 s; of neighbouring frames the first counts."""
    import torch

    hits = []
    for start in range(0, frames.shape[1], CHUNK_FRAMES):
        chunk = frames[:, start : start + CHUNK_FRAMES]
        missing = CHUNK_FRAMES - chunk.shape[1]
        if missing:
            chunk = torch.cat([chunk, chunk[:, -1:].expand(-1, missing, -1, -1)], dim=1)
        logits = network(chunk.unsqueeze(0).to(device))[0].reshape(-1)[: CHUNK_FRAMES - missing]
        hits += [start + int(index) for index in torch.nonzero(logits > threshold).reshape(-1)]
    return [
        index / FPS for position, index in enumerate(hits) if position == 0 or index - hits[position - 1] > 1
    ]


def embed(clap, clip, device):
    """CLAP embedding of the prompt, (1, 1, 512). Text goes in twice: CLAP loses the batch axis of one."""
    import torch

    if clap is None:
        return torch.nn.functional.normalize(torch.randn((1, 1, 512), device=device), dim=-1)
    if clip.prompt_audio is not None:
        import librosa

        sound, _ = librosa.load(str(clip.prompt_audio), sr=RATE)
        pressed = torch.from_numpy(sound).clamp(-1, 1)
        pressed = ((pressed * 32767.0).to(torch.int16) / 32767.0).float()
        return clap.get_audio_embedding_from_data(x=pressed.unsqueeze(0), use_tensor=True).unsqueeze(1)
    if not clip.text:
        raise ValueError("a text or audio prompt is needed")
    return clap.get_text_embedding([clip.text, clip.text], use_tensor=True)[:1].unsqueeze(1)


if __name__ == "__main__":
    kit.main(load, make)
