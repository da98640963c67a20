"""No fixture may lie in the folder without a test that runs it."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("CLAPSTICK_PARITY_DIR") or HERE / "fixtures")


def _tested_forms() -> dict[str, list[str]]:
    """Return form -> tests that take ``fixture``, read from the modules' source."""
    forms: dict[str, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [
            node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and [target.id for target in node.targets if isinstance(target, ast.Name)] == ["FORM"]
        ]
        tests = [
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            and node.name.startswith("test_")
            and "fixture" in [argument.arg for argument in node.args.args]
        ]
        for name in names:
            forms.setdefault(str(name), []).extend(tests)
    return forms


def test_every_fixture_is_known_to_a_test() -> None:
    forms = {
        str(json.loads(path.read_text(encoding="utf-8")).get("fixture", path.stem))
        for path in sorted(FOLDER.glob("*.json"))
    }
    assert forms, f"no fixtures in {FOLDER}"
    tested = [form for form, tests in _tested_forms().items() if tests]
    without = sorted(form for form in forms if not any(f"{form}_".startswith(f"{known}_") for known in tested))
    assert not without, f"no test in {HERE.name} has FORM = one of {without}"


def test_every_fixture_has_its_arrays() -> None:
    lonely = sorted(path.name for path in FOLDER.glob("*.json") if not path.with_suffix(".npz").is_file())
    assert not lonely


def test_no_parity_test_can_be_skipped() -> None:
    marks = ("skip", "xfail", "importorskip")
    for path in sorted(HERE.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        attributes = {
            node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
        }
        assert not attributes & {*marks, "skipif"}, f"{path.name} may skip"
