"""FoleyCrafter: what its script does for one clip.

Official code: open-mmlab/FoleyCrafter, inference.py.
"""

import os
import types

import clapstick_runner as kit
import clapstick_trial

RATE = 16000


def load(job):
    random = job.parameters["random_weights"]
    if job.weights is not None:
        os.environ["HF_HOME"] = str(job.weights / "huggingface")
    if job.device == "cpu":
        clapstick_trial.cuda_on_cpu()
    if not random:
        for name in ("semantic/semantic_adapter.bin", "temporal_adapter.ckpt", "timestamp_detector.pth.tar"):
            job.weight(name)
    job.enter_repository()
    import inference

    config = types.SimpleNamespace(
        pretrain="" if random else str(job.weight("auffusion")),
        ckpt=str(job.weights or ""),
        device=job.device,
        semantic_scale=float(job.parameters["semantic_scale"]),
        temporal_scale=float(job.parameters["temporal_scale"]),
        nprompt=str(job.parameters["negative_prompt"]),
    )
    inference.snapshot_download = lambda name, **_: str(job.weights)
    inference.AudioFileClip = inference.VideoFileClip = NoVideo
    if random:
        from random_networks import use_random_networks

        use_random_networks(inference, job.clips[0].scratch.parent / "tokenizer")
    else:
        # The script hands its --pretrain on to nobody: networks would come from the hub's name.
        build = inference.build_foleycrafter
        inference.build_foleycrafter = lambda: build(config.pretrain)
    return job, inference, config, inference.build_models(config)


class NoVideo:
    """Stands for the video that the script writes beside the sound and nobody asked for."""

    def __init__(self, _):
        self.audio = None

    def subclip(self, *_):
        return self

    def write_videofile(self, _):
        pass


def make(model, clip):
    job, inference, config, parts = model
    pipe, vocoder, detector = parts
    folder = clip.scratch / "in"
    folder.mkdir()
    (folder / "clip.mp4").symlink_to(clip.video)
    config.input, config.save_dir = str(folder), str(clip.scratch / "out")
    config.prompt, config.seed = clip.text or "", clip.seed
    kit.seed_everything(clip.seed)
    written = []
    inference.sf = types.SimpleNamespace(write=lambda path, samples, rate: written.append(samples))
    steps = int(job.parameters["steps"])

    def asked(**named):
        return pipe(**{**named, "num_inference_steps": steps})

    inference.run_inference(config, asked, vocoder, detector)
    return kit.Sound(written[0].astype("float32") / 32768, RATE)  # it is 16-bit


if __name__ == "__main__":
    kit.main(load, make)
