"""How large files and functions of the package are."""

import ast
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "monai_xr"
FILES = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
MOST_CODE = 40  # lines of a function: its signature counts, docstring, comments and empty lines do not


def code_lines(function: ast.AST, lines: list[str]) -> int:
    first = function.body[0]
    told = range(first.lineno, first.end_lineno + 1) if ast.get_docstring(function) else ()
    counted = [number for number in range(function.lineno, function.end_lineno + 1) if number not in told]
    return sum(bool(line) and not line.startswith("#") for line in (lines[number - 1].strip() for number in counted))


def too_long(text: str) -> list[str]:
    functions = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = {each.name: code_lines(each, text.splitlines()) for each in functions}
    return [f"{name} has {count} lines" for name, count in found.items() if count > MOST_CODE]


def test_no_function_is_longer_than_a_screen():
    assert {name: told for name, text in FILES.items() if (told := too_long(text))} == {}


@pytest.mark.parametrize(("count", "told"), [(39, []), (40, ["f has 41 lines"])])
def test_lines_of_code_are_counted_without_docstring_comments_and_blanks(count, told):
    body = "".join(f"    # why\n\n    a{number} = 0\n" for number in range(count))
    assert too_long(f'def f():\n    """Say.\n\n    More.\n    """\n{body}') == told


def test_files_stay_small():
    lengths = {name: len(text.splitlines()) for name, text in FILES.items()}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
    assert statistics.median(lengths.values()) <= 110
