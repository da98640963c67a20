"""Signatures read back as they were written, and different settings never look the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapstick.metrics.signature import Signature, parse_signature

settings_st = st.one_of(
    st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
)
groups = st.dictionaries(st.text(max_size=8), settings_st, max_size=4)
signatures = st.builds(
    Signature,
    metric=st.text(max_size=12),
    convention=st.text(max_size=12),
    n=st.integers(0, 10**6),
    rate=st.integers(1, 10**6),
    resampler=st.text(max_size=12),
    seed=st.integers(0, 2**63),
    version=st.text(max_size=12),
    param=groups,
    weights=groups,
    library=groups,
)


def _exact(signature: Signature) -> str:
    """Tell 1, 1.0, True and "1" apart, which compare equal in Python."""
    return repr(
        [
            (name, sorted(value.items()) if isinstance(value, dict) else value)
            for name, value in vars(signature).items()
        ]
    )


@given(signatures)
def test_round_trip(signature: Signature) -> None:
    text = str(signature)
    assert _exact(parse_signature(text)) == _exact(signature)
    assert text.isascii()
    assert text.isprintable()


@given(signatures, signatures)
def test_no_collisions(first: Signature, second: Signature) -> None:
    assert (str(first) == str(second)) == (_exact(first) == _exact(second))


def _signature(**param: str | int | float | bool) -> Signature:
    return Signature("e-l1", "v2s", 732, 16_000, "soxr HQ", 0, "0.1.0", param)


def test_reads_like_a_line() -> None:
    assert str(_signature(hop=128, peak=1.0)) == (
        "metric:e-l1|convention:v2s|n:732|rate:16000|resampler:soxr HQ|seed:0|version:0.1.0|"
        "param.hop:128|param.peak:1.0"
    )


def test_values_that_compare_equal_are_told_apart() -> None:
    texts = {str(_signature(x=value)) for value in (1, 1.0, True, "1", "true", '"1"')}
    assert len(texts) == 6


def test_differences_name_the_setting() -> None:
    assert _signature(hop=128).differences(_signature(hop=160)) == {"param.hop": ("128", "160")}
    assert _signature(hop=128).differences(_signature(hop=128)) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metric", "not key:value"),
        ("metric:a|metric:b", "comes twice"),
        ("metric:a|colour:b", "unknown part 'colour'"),
        ("metric:a", "part convention is None, expected text"),
        ("metric:a|convention:b|n:1.5|rate:1|resampler:s|seed:0|version:v", "part n is 1.5"),
    ],
)
def test_what_is_no_signature_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_signature(text)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold nan"):
        str(_signature(x=float("nan")))
