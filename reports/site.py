"""A static site of many runs: an index, a feed, and an address for every report that stays."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from pydantic import BaseModel, ConfigDict

from clapstick.protocols.archive import write_json, write_text
from clapstick.protocols.clips import safe_stem
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.pages import HERE, POLICY, build_report, clapstick_version, environment, external_parts
from clapstick.reports.run_data import RunData, read_run
from clapstick.reports.sounds import Codec


class SiteEntry(BaseModel):
    """One run of a site."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: str
    """Folder of the report: made from what the run is, not from where it lies."""
    name: str = ""
    """Folder of the run; empty where the site was built before it was kept."""
    title: str
    protocol: str
    finished: str
    clips: int
    systems: tuple[str, ...]
    findings: tuple[str, ...]


def build_site(
    run_dirs: Sequence[Path], out: Path, *, codec: Codec = "flac", workers: int | None = None, address: str = ""
) -> Path:
    """Build reports of several runs under ``out/runs/<slug>`` with an index and an Atom feed.

    Building again adds and renews; what an earlier build put there keeps its address.

    Parameters
    ----------
    address : str
        Address at which the site will be, for the feed; entries are relative where it is empty.

    Raises
    ------
    ClapstickError
        If a folder is no run archive.
    """
    entries = {entry.slug: entry for entry in _earlier(out)}
    for run_dir in run_dirs:
        data = read_run(run_dir)
        entry = _entry(data, run_dir.resolve().name)
        build_report(
            run_dir, out / "runs" / entry.slug, codec=codec, workers=workers, site_index="../../index.html"
        )
        entries[entry.slug] = entry
    ordered = sorted(entries.values(), key=lambda entry: (entry.finished, entry.slug), reverse=True)
    write_json(out / "runs.json", {"runs": [entry.model_dump(mode="json") for entry in ordered]})
    write_text(out / "feed.xml", _feed(ordered, address))
    (out / "static").mkdir(parents=True, exist_ok=True)
    for name in ("report.css", "theme.js"):
        shutil.copyfile(HERE / "static" / name, out / "static" / name)
    parts = external_parts()
    page = (
        environment()
        .get_template("site.html")
        .render(
            policy=POLICY,
            version=clapstick_version(),
            entries=ordered,
            styles=parts.styles,
            early_script=parts.early_script,
        )
    )
    write_text(out / "index.html", page)
    return out / "index.html"


def slug_of(data: RunData) -> str:
    """Return a run's permanent name: protocol, day, and a hash of what was run and what came out."""
    digest = hashlib.sha256()
    for part in (
        data.run.protocol.model_dump_json(),
        data.run.started,
        str(data.run.seed),
        *sorted(data.run.systems),
        *(clip.id for clip in data.clips),
    ):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return safe_stem(f"{data.run.protocol.name}-{data.run.started[:10]}-{digest.hexdigest()[:8]}")


def _entry(data: RunData, name: str) -> SiteEntry:
    return SiteEntry(
        slug=slug_of(data),
        name=name,
        title=data.run.protocol.title,
        protocol=data.run.protocol.name,
        finished=data.run.finished or data.run.started,
        clips=len(data.clips),
        systems=tuple(system.title for system in data.competitors),
        findings=make_leaderboard(data).findings[:3],
    )


def _earlier(out: Path) -> list[SiteEntry]:
    path = out / "runs.json"
    if not path.is_file():
        return []
    listed = json.loads(path.read_text(encoding="utf-8"))["runs"]
    entries = [SiteEntry.model_validate(values) for values in listed]
    return [entry for entry in entries if (out / "runs" / entry.slug / "index.html").is_file()]


def _feed(entries: Sequence[SiteEntry], address: str) -> str:
    base = address.rstrip("/") + "/" if address else ""
    updated = entries[0].finished if entries else "1970-01-01T00:00:00+00:00"
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        "<title>Clapstick reports</title>",
        "<id>urn:clapstick:reports</id>",
        f"<updated>{escape(updated)}</updated>",
        "<author><name>Clapstick</name></author>",
    ]
    for entry in entries:
        title = ", ".join(filter(None, (entry.title, entry.name)))
        link = f"{base}runs/{entry.slug}/index.html"
        lines += [
            "<entry>",
            f"<title>{escape(title)}: {entry.clips} clips, {len(entry.systems)} systems</title>",
            f"<id>urn:clapstick:run:{escape(entry.slug)}</id>",
            f"<link href={quoteattr(link)}/>",
            f"<updated>{escape(entry.finished)}</updated>",
            f"<summary>{escape(' '.join(entry.findings))}</summary>",
            "</entry>",
        ]
    return "\n".join([*lines, "</feed>"]) + "\n"
