"""What metric adapters make of a run's sounds and pictures, from the cache where it was made before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clapstick.harness.adapters import FoundAdapter, adapter_options, require_adapter
from clapstick.harness.embedding_cache import ClipEmbedding, EmbeddingCache, key_of, picture_content
from clapstick.harness.progress import progress
from clapstick.harness.provenance import file_sha256, folder_key, text_sha256, versions_of
from clapstick.harness.weights import weights_sha256
from clapstick.protocols.archive import ErrorRecord, RunArchive
from clapstick.protocols.clips import Clip
from clapstick.systems.runtimes.measure import Pair, Rows, measure_out_of_process
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.place import KIT, code_folder

_STAGED_BY = ("av", "clapstick")
"""Libraries that make the copies an adapter is given."""


def adapter_rows(
    archive: RunArchive,
    clips: Sequence[Clip],
    systems: Sequence[str],
    found: FoundAdapter,
    cache: EmbeddingCache,
) -> tuple[dict[tuple[str, str], ClipEmbedding], list[ErrorRecord]]:
    """Run an adapter over every sound of a run with its picture; only what the cache lacks is computed.

    Returns
    -------
    rows : dict
        (system, clip id) -> where its rows lie, or why there are none.
    errors : list of ErrorRecord
        What failed, for the run's record.

    Raises
    ------
    ClapstickError
        If the adapter is not set up here, with the commands that provide what it lacks.
    """
    options = adapter_options(found)
    require_adapter(found, options)
    identity = program_identity(found, options)
    made: dict[tuple[str, str], ClipEmbedding] = {}
    keys: dict[tuple[str, str], dict[str, Any]] = {}
    missing: list[Pair] = []
    for clip in clips:
        picture = picture_content(clip)
        for system in systems:
            sound = archive.audio_wav(system, clip)
            if not sound.is_file():
                continue
            parts = {**identity, "content_sha256": text_sha256(file_sha256(sound), picture)}
            path = cache.find(key_of(parts))
            if path is not None:
                made[system, clip.id] = ClipEmbedding(path)
            else:
                keys[system, clip.id] = parts
                missing.append(Pair(system, clip, sound))
    if not missing:
        return made, []
    errors: list[ErrorRecord] = []
    name = found.card.name
    with progress(f"measure {name}", len(missing)) as advance:

        def keep(pair: Pair, rows: Rows) -> None:
            path = cache.put(keys[pair.system, pair.clip.id], rows)
            made[pair.system, pair.clip.id] = ClipEmbedding(path)
            advance(1)

        failed = measure_out_of_process(
            found,
            missing,
            archive.root / "jobs" / f"adapter-{name}",
            dimension=found.card.dimension,
            rows=found.card.rows,
            parameters=found.card.parameters,
            on_result=keep,
            options=options,
        )
    for one in failed:
        pair = one.pair
        if pair is not None:
            made[pair.system, pair.clip.id] = ClipEmbedding(None, f"{name}: {one.problem}")
        errors.append(
            ErrorRecord(
                system=pair.system if pair else None,
                clip=pair.clip.id if pair else None,
                stage="score",
                problem=one.problem,
            )
        )
    return made, errors


def program_identity(found: FoundAdapter, options: RuntimeOptions) -> dict[str, Any]:
    """Return everything but sound and picture that an adapter's rows depend on.

    The environment is named, not hashed: after changes inside it, ``clapstick cache clear`` forgets old rows.
    """
    runtime = options.runtime or found.card.runtime
    code = code_folder(found, options)
    return {
        "embedder": found.card.name,
        "kind": "pair",
        "output": "rows",
        "adapter": folder_key(found.folder),
        "kit": folder_key(KIT),
        "code": None if code is None else folder_key(code),
        "weights": weights_of(found),
        "parameters": dict(found.card.parameters),
        "environment": f"{runtime} {options.python if runtime == 'env' else options.image or found.card.name}",
        "device": "cuda" if options.gpus else "cpu",
        "libraries": versions_of(_STAGED_BY),
    }


def weights_of(found: FoundAdapter) -> Mapping[str, str]:
    """Return checkpoint -> SHA-256 of its local file."""
    return {name: weights_sha256(name) for name in found.card.weights}
