"""Errors for names that nothing has."""

from __future__ import annotations

from clapstick.protocols.problems import unknown_name


def test_the_nearest_name_is_proposed() -> None:
    error = unknown_name("no such reader", "foldre", ["folder", "manifest"], otherwise="List them.")
    assert str(error) == "foldre: no such reader; expected one of folder, manifest. Did you mean folder?"
    assert str(unknown_name("no such reader", "xyz", ["folder"], otherwise="List them.")).endswith("List them.")


def test_a_path_is_looked_for_only_where_one_may_stand() -> None:
    missing = unknown_name("no such system", "/noise", ["noise"], also="or a folder")
    assert str(missing).endswith("There is no such file or folder; check the path.")
    word = unknown_name("unknown material", "wood/", ["wood"], where="times.txt:3", otherwise="Mend the line.")
    assert str(word) == "times.txt:3: unknown material; found wood/; expected one of wood. Did you mean wood?"
