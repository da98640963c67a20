"""Balanced assignment: which rater meets which clip, in which place, with the systems in which order.

Everything here is one question asked again and again: colour the meetings of raters and clips so that every
rater,
every clip and the whole test see every colour equally often, the counts differing by one at most. A colour is
a place
in the session, a row of a Latin square, or a pair of systems. Such a colouring exists for any number of
raters, clips
and colours (D. de Werra, Equitable colorations of graphs, 1971), and splitting along Euler circuits finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Edge = tuple[int, int]
"""A meeting: (rater, clip)."""


@dataclass(frozen=True)
class Meeting:
    """One rater and one clip: where in the session, and the systems in order of presentation."""

    rater: int
    clip: int
    place: int
    systems: tuple[int, ...]


def assign_together(
    raters: int, clips: int, systems: int, clips_per_rater: int, rng: np.random.Generator
) -> list[Meeting]:
    """Give every rater `clips_per_rater` clips, each with all systems.

    Clips are met equally often, each place of a session holds every clip equally often, and every system
    stands in
    every position equally often for every rater, for every clip and overall; each count differs by one at
    most, the
    last one by two for an odd number of systems. Rows of a Williams square order the systems, so each one
    also follows
    every other equally often over a whole square.

    Returns
    -------
    list of Meeting
        Sorted by rater and place.
    """
    edges = deal_clips(raters, clips, clips_per_rater, rng)
    square = williams_square(systems)
    rows = equitable_colouring(edges, len(square), rng)
    names = rng.permutation(systems)
    orders = [tuple(int(names[system]) for system in square[row]) for row in rows]
    return _meetings(edges, orders, clips_per_rater, rng)


def assign_pairs(
    raters: int, clips: int, systems: int, clips_per_rater: int, rng: np.random.Generator
) -> list[Meeting]:
    """Give every rater `clips_per_rater` clips, each with one pair of systems.

    Every pair is met equally often by every rater, on every clip and overall, and stands in each of its two
    orders
    equally often; each count differs by one at most.
    """
    edges = deal_clips(raters, clips, clips_per_rater, rng)
    pairs = list(combinations(range(systems), 2))
    chosen = equitable_colouring(edges, len(pairs), rng)
    orders: list[tuple[int, ...]] = [()] * len(edges)
    for number, pair in enumerate(pairs):
        members = np.flatnonzero(chosen == number)
        turned = equitable_colouring([edges[index] for index in members], 2, rng)
        for index, turn in zip(members, turned, strict=True):
            orders[index] = pair[::-1] if turn else pair
    return _meetings(edges, orders, clips_per_rater, rng)


def assign_single(
    raters: int, clips: int, systems: int, clips_per_rater: int, rng: np.random.Generator
) -> list[Meeting]:
    """Give every rater `clips_per_rater` clips with every system, one sound a page.

    Clips are met equally often, and every sound stands in every place of a session equally often; counts
    differ by
    one at most.
    """
    edges = [
        (rater, clip * systems + system)
        for rater, clip in deal_clips(raters, clips, clips_per_rater, rng)
        for system in range(systems)
    ]
    orders = [(item % systems,) for _, item in edges]
    meetings = _meetings(edges, orders, clips_per_rater * systems, rng)
    return [Meeting(m.rater, m.clip // systems, m.place, m.systems) for m in meetings]


def deal_clips(raters: int, clips: int, clips_per_rater: int, rng: np.random.Generator) -> list[Edge]:
    """Deal each rater different clips, always the least used ones: uses differ by one at most."""
    if not 1 <= clips_per_rater <= clips:
        raise ValueError(f"clips_per_rater must be from 1 to {clips}, found {clips_per_rater}")
    uses = np.zeros(clips, dtype=np.int64)
    edges: list[Edge] = []
    for rater in range(raters):
        least_used = np.lexsort((rng.random(clips), uses))[:clips_per_rater]
        uses[least_used] += 1
        edges.extend((rater, int(clip)) for clip in least_used)
    return edges


def williams_square(size: int) -> list[tuple[int, ...]]:
    """Return a Latin square in which each symbol follows each other one equally often; two squares where odd.

    The first row runs 0, 1, n-1, 2, n-2, ...; the others add 1, 2, ... to it (E. J. Williams, Experimental
    designs
    balanced for the estimation of residual effects of treatments, 1949).
    """
    first = [0]
    for step in range(1, size):
        first.append((step + 1) // 2 if step % 2 else size - step // 2)
    rows = [tuple((symbol + shift) % size for symbol in first) for shift in range(size)]
    return rows if size % 2 == 0 else rows + [row[::-1] for row in rows] if size > 1 else rows


def equitable_colouring(edges: Sequence[Edge], colours: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Colour the edges of a bipartite multigraph; every vertex and the whole see each colour equally often
    (+-1).

    Two colours that are out of balance somewhere are joined and split again along Euler circuits. Each such
    step lowers
    the sum of squared counts, so the search ends.

    Returns
    -------
    ndarray of int, shape (edges,)
    """
    if not edges:
        return np.zeros(0, dtype=np.int64)
    left, right = np.array(edges).T
    found = rng.permutation(np.arange(len(edges)) % colours)
    counts = np.zeros((left.max() + right.max() + 3, colours), dtype=np.int64)
    rows = (left, left.max() + 1 + right, np.full(len(edges), counts.shape[0] - 1))
    for row in rows:
        np.add.at(counts, (row, found), 1)
    while (spread := counts.max(axis=1) - counts.min(axis=1)).max() > 1:
        vertex = int(spread.argmax())
        pair = int(counts[vertex].argmax()), int(counts[vertex].argmin())
        members = np.flatnonzero(np.isin(found, pair))
        halves = euler_split([edges[index] for index in members], rng)
        found[members] = np.where(halves, pair[0], pair[1])
        counts[:, pair] = 0
        for row in rows:
            np.add.at(counts, (row[members], found[members]), 1)
    return found


def euler_split(edges: Sequence[Edge], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Split a bipartite multigraph in two: every vertex has half of its edges in each part, give or take one.

    Vertices of odd degree are joined to an extra vertex on the other side, so that every degree is even;
    edges along a
    circuit, which has even length in a bipartite graph, then go to the two parts in turn.
    """
    ends = [(("rater", left), ("clip", right)) for left, right in edges]
    degrees: dict[tuple[str, int], int] = {}
    for pair in ends:
        for vertex in pair:
            degrees[vertex] = degrees.get(vertex, 0) + 1
    odd = [vertex for vertex, degree in degrees.items() if degree % 2]
    extra = {"rater": ("clip", -1), "clip": ("rater", -1)}
    ends += [(vertex, extra[vertex[0]]) for vertex in odd]
    if sum(vertex[0] == "rater" for vertex in odd) % 2:
        ends.append((extra["rater"], extra["clip"]))
    part = np.zeros(len(ends), dtype=np.bool_)
    for circuit in _circuits(ends):
        part[circuit[::2]] = True
        if rng.random() < 0.5:
            part[circuit] = ~part[circuit]
    return part[: len(edges)]


def _circuits(ends: Sequence[tuple[tuple[str, int], tuple[str, int]]]) -> Iterator[list[int]]:
    """Yield closed walks that use every edge once; every degree has to be even."""
    at: dict[tuple[str, int], list[int]] = {}
    for number, pair in enumerate(ends):
        for vertex in pair:
            at.setdefault(vertex, []).append(number)
    used = [False] * len(ends)
    for start in at:
        while True:
            walk: list[int] = []
            vertex = start
            while at[vertex]:
                number = at[vertex].pop()
                if used[number]:
                    continue
                used[number] = True
                walk.append(number)
                first, second = ends[number]
                vertex = second if vertex == first else first
            if not walk:
                break
            yield walk


def _meetings(
    edges: Sequence[Edge], orders: Sequence[tuple[int, ...]], places: int, rng: np.random.Generator
) -> list[Meeting]:
    found = equitable_colouring(edges, places, rng)
    meetings = [
        Meeting(rater, clip, int(place), order)
        for (rater, clip), place, order in zip(edges, found, orders, strict=True)
    ]
    return sorted(meetings, key=lambda meeting: (meeting.rater, meeting.place))
