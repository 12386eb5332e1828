"""Every code the API can answer with, found in the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

from gateway_hub.api.problems import ProblemError, to_problem
from gateway_hub.domain import errors

SOURCE = Path(errors.__file__).parent.parent
_PACKAGES = ("api", "services", "storage", "domain")


def list_problems() -> set[tuple[int, str]]:
    """Return status and code of every problem."""
    trees = list(_parse())
    kinds = {name: getattr(errors, name) for name in vars(errors) if name.endswith("Error")}
    bases = {
        node.name: base.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    }

    def status_of(name: str) -> int | None:
        while name not in kinds and name in bases:
            name = bases[name]
        return to_problem(kinds[name]("x"), None).status if name in kinds else None

    found = {(404, "not_found"), (405, "method_not_allowed"), (500, "internal_error")}
    for tree in trees:
        for name, code in _named_codes(tree):
            status = status_of(name)
            if status is not None:
                found.add((status, code))
        found |= set(_http_problems(tree))
    return found


def list_field_codes() -> set[str]:
    """Return every code of a refused field that is the hub's own word."""
    found = {"wrong_type"}
    for tree in _parse():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name, place = _name_of(node.func), 1
                if name in {"PydanticCustomError", "_refuse"}:
                    place = 0
                elif name not in {"of_field", "FieldProblem"}:
                    continue
                found |= set(_texts(node.args[place : place + 1]))
            if isinstance(node, ast.Assign) and _targets(node) == ["_CODES"]:
                assert isinstance(node.value, ast.Dict)
                found |= set(_texts(node.value.values))
    return found


def _parse() -> Iterator[ast.Module]:
    for package in _PACKAGES:
        for path in sorted((SOURCE / package).rglob("*.py")):
            yield ast.parse(path.read_text("utf-8"))


def _named_codes(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the kind of error and the code, of classes with one and of errors made with one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name not in {"HubError", "ConflictError"}:
            for item in node.body:
                if isinstance(item, ast.Assign) and _targets(item) == ["code"]:
                    yield from ((node.name, code) for code in _texts([item.value]))
        if isinstance(node, ast.Call):
            given = [item.value for item in node.keywords if item.arg == "code"]
            yield from ((_name_of(node.func), code) for code in _texts(given))
            if _name_of(node.func) == "ConflictError" and not given:
                yield "ConflictError", errors.ConflictError.code


def _http_problems(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name_of(node.func) == ProblemError.__name__:
            status, code = node.args[:2]
            assert isinstance(status, ast.Constant)
            yield from ((int(str(status.value)), text) for text in _texts([code]))


def _name_of(function: ast.expr) -> str:
    return str(getattr(function, "id", None) or getattr(function, "attr", ""))


def _targets(node: ast.Assign) -> list[str]:
    return [item.id for item in node.targets if isinstance(item, ast.Name)]


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
