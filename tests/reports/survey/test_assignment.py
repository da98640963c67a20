"""Balance holds for any number of raters, clips and systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clapstick.reports.survey.assignment import (
    Meeting,
    assign_pairs,
    assign_single,
    assign_together,
    deal_clips,
    equitable_colouring,
    euler_split,
    williams_square,
)

sizes = st.tuples(
    st.integers(1, 14), st.integers(1, 9), st.integers(2, 6), st.integers(0, 8), st.integers(0, 99)
)


def spread(values: Iterable[Hashable], universe: Iterable[Hashable]) -> int:
    """Largest minus smallest count over everything that can be counted."""
    counts = Counter(values)
    found = [counts[key] for key in universe]
    assert sum(found) == counts.total()
    return max(found) - min(found)


def made(
    assign: Callable[..., list[Meeting]], size: tuple[int, int, int, int, int]
) -> tuple[list[Meeting], int]:
    raters, clips, systems, taken, seed = size
    per_rater = 1 + taken % clips
    return assign(raters, clips, systems, per_rater, np.random.default_rng(seed)), per_rater


@settings(max_examples=60, deadline=None)
@given(sizes)
def test_pages_with_all_systems_are_balanced(size: tuple[int, int, int, int, int]) -> None:
    raters, clips, systems, _, _ = size
    meetings, per_rater = made(assign_together, size)
    assert len({(m.rater, m.clip) for m in meetings}) == len(meetings) == raters * per_rater
    assert spread((m.clip for m in meetings), range(clips)) <= 1
    assert all([m.place for m in meetings if m.rater == r] == list(range(per_rater)) for r in range(raters))
    for clip in range(clips):
        assert spread((m.place for m in meetings if m.clip == clip), range(per_rater)) <= 1
    assert all(sorted(m.systems) == list(range(systems)) for m in meetings)
    groups = [meetings, *([m for m in meetings if m.rater == r] for r in range(raters))]
    groups += [[m for m in meetings if m.clip == c] for c in range(clips)]
    bound = 1 if systems % 2 == 0 else 2
    for group, system in product(groups, range(systems)):
        assert spread((m.systems.index(system) for m in group), range(systems)) <= bound


@settings(max_examples=60, deadline=None)
@given(sizes)
def test_pairs_are_balanced_for_every_rater_every_clip_and_overall(
    size: tuple[int, int, int, int, int],
) -> None:
    raters, clips, systems, _, _ = size
    meetings, _ = made(assign_pairs, size)
    pairs = list(combinations(range(systems), 2))
    groups = [meetings, *([m for m in meetings if m.rater == r] for r in range(raters))]
    groups += [[m for m in meetings if m.clip == c] for c in range(clips)]
    for group in groups:
        assert spread((tuple(sorted(m.systems)) for m in group), pairs) <= 1
    for pair in pairs:
        orders = [m.systems for m in meetings if tuple(sorted(m.systems)) == pair]
        assert spread(orders, [pair, pair[::-1]]) <= 1
    met = [(m.rater, m.clip, system) for m in meetings for system in m.systems]
    assert len(set(met)) == len(met), "a rater met a sound twice"


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_single_sounds_are_met_once_and_stand_everywhere_equally_often(
    size: tuple[int, int, int, int, int],
) -> None:
    raters, clips, systems, _, _ = size
    meetings, per_rater = made(assign_single, size)
    met = [(m.rater, m.clip, m.systems[0]) for m in meetings]
    assert len(set(met)) == len(met) == raters * per_rater * systems
    for clip, system in product(range(clips), range(systems)):
        places = [m.place for m in meetings if (m.clip, m.systems) == (clip, (system,))]
        assert spread(places, range(per_rater * systems)) <= 1
        assert len(places) in (raters * per_rater // clips, -(-raters * per_rater // clips))


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=60), st.integers(1, 9), st.integers(0, 9)
)
@settings(deadline=None)
def test_any_bipartite_multigraph_is_coloured_equitably(
    edges: list[tuple[int, int]], colours: int, seed: int
) -> None:
    found = equitable_colouring(edges, colours, np.random.default_rng(seed))
    for side in (0, 1):
        for vertex in {edge[side] for edge in edges}:
            own = [int(c) for edge, c in zip(edges, found, strict=True) if edge[side] == vertex]
            assert spread(own, range(colours)) <= 1
    assert spread(found.tolist(), range(colours)) <= 1


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60), st.integers(0, 9))
def test_euler_split_halves_every_vertex(edges: list[tuple[int, int]], seed: int) -> None:
    part = euler_split(edges, np.random.default_rng(seed))
    assert abs(2 * int(part.sum()) - len(edges)) <= 1
    for side in (0, 1):
        for vertex in {edge[side] for edge in edges}:
            own = [p for edge, p in zip(edges, part, strict=True) if edge[side] == vertex]
            assert abs(2 * sum(own) - len(own)) <= 1


def test_williams_square_by_hand() -> None:
    # For four: 0 1 3 2, then each row one more modulo 4.
    assert williams_square(4) == [(0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10])
def test_williams_square_is_latin_and_balanced_for_carry_over(size: int) -> None:
    square = williams_square(size)
    for position in range(size):
        assert spread((row[position] for row in square), range(size)) == 0
    followers = [pair for row in square for pair in pairwise(row)]
    if size > 1:
        assert spread(followers, list(permutations(range(size), 2))) == 0


def test_same_seed_same_assignment_other_seed_another() -> None:
    first, again, other = (assign_together(6, 5, 4, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_more_clips_a_rater_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to 3, found 4"):
        deal_clips(2, 3, 4, np.random.default_rng(0))


def test_the_paper_s_pairs_come_out_four_hundred_times() -> None:
    # MultiFoley: one pair of systems, 20 videos with prompts, 20 raters: 400 choices, each order 200 times.
    meetings = assign_pairs(20, 20, 2, 20, np.random.default_rng(0))
    assert Counter(m.systems for m in meetings) == {(0, 1): 200, (1, 0): 200}
