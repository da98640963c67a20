"""A video with another sound: the picture is copied bit by bit, the sound is encoded as AAC."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clapstick.protocols.audio import Audio

_AAC_FRAME = 1024


def mux(video: Path, audio: Audio, output: Path) -> None:
    """Write the first video stream of `video` with `audio` as mp4.

    Parameters
    ----------
    audio : Audio
        Mono or stereo; samples beyond full scale are clipped by the encoder.
    output : Path
        Written as mp4 whatever its suffix.
    """
    import av

    with av.open(str(video)) as source, av.open(str(output), "w", format="mp4") as target:
        picture_in = source.streams.video[0]
        picture_out = target.add_stream_from_template(picture_in)
        sound_out = target.add_stream("aac", rate=audio.sample_rate)
        sound_out.layout = "mono" if audio.samples.shape[1] == 1 else "stereo"
        origin = picture_in.start_time or 0
        for packet in source.demux(picture_in):
            if packet.dts is None:
                continue
            packet.pts = None if packet.pts is None else packet.pts - origin
            packet.dts -= origin
            packet.stream = picture_out
            target.mux(packet)
        channels_first = np.ascontiguousarray(audio.samples.T)
        for first in range(0, channels_first.shape[1], _AAC_FRAME):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(channels_first[:, first : first + _AAC_FRAME]),
                format="fltp",
                layout=sound_out.layout.name,
            )
            frame.sample_rate = audio.sample_rate
            frame.pts = first
            target.mux(sound_out.encode(frame))
        target.mux(sound_out.encode(None))
