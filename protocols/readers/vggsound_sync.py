"""VGGSound-Sync: the videos of VGGSound that a list names as synchronous."""

from clapstick.protocols.readers.vggsound import SYNC_READER as READER

__all__ = ["READER"]
