"""Works that this package cites, with the fields that a bibliography prints."""

from __future__ import annotations

import tomllib
import unicodedata
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Reference(BaseModel):
    """One work of ``references.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    surname: str
    """Of the first author, in ASCII."""
    cited_as: tuple[str, ...]
    """Parts of titles by which citations of this first author name the work."""
    readers: tuple[str, ...] = ()
    """Readers of the data set that the work describes."""
    type: Literal["article", "inproceedings", "misc"]
    author: str
    title: str
    journal: str | None = None
    booktitle: str | None = None
    volume: str | None = None
    number: str | None = None
    pages: str | None = None
    year: int
    eprint: str | None = None
    """Number on arXiv."""

    def fields(self) -> dict[str, str]:
        """Return the fields of its BibTeX entry; the title is braced, so that styles keep its capitals."""
        names = ("author", "title", "journal", "booktitle", "volume", "number", "pages", "year", "eprint")
        found = {name: str(value) for name in names if (value := getattr(self, name)) is not None}
        found["title"] = f"{{{self.title}}}"
        return found | ({"archivePrefix": "arXiv"} if self.eprint else {})


@cache
def references() -> dict[str, Reference]:
    """Return BibTeX key -> work."""
    text = Path(__file__).with_name("references.toml").read_text(encoding="utf-8")
    return {key: Reference.model_validate(values) for key, values in tomllib.loads(text).items()}


def key_of_citation(citation: str) -> str | None:
    """Return the key of the work that ``J. Lee et al., Video-Foley, 2024`` or the like names, where known."""
    surname = first_surname(citation)
    for key, reference in references().items():
        if reference.surname == surname and any(part in citation for part in reference.cited_as):
            return key
    return None


def keys_of_reader(reader: str) -> list[str]:
    """Return the keys of the works that describe the data set of a reader."""
    return [key for key, reference in references().items() if reader in reference.readers]


def first_surname(citation: str) -> str:
    """Return the surname that a citation begins with, in ASCII; empty where it has none."""
    names = citation.split(",")[0].split(" and ")[0].split(" et al")[0].split()
    return unicodedata.normalize("NFKD", names[-1] if names else "").encode("ascii", "ignore").decode()
