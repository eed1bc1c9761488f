"""Small changes of a function's source, each of which some test should notice."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {
    a: b
    for pair in (
        ("min", "max"),
        ("minimum", "maximum"),
        ("any", "all"),
        ("argmin", "argmax"),
        ("clamp_min", "clamp_max"),
        ("floor", "ceil"),
        ("logical_and", "logical_or"),
        ("zeros", "ones"),
        ("add", "subtract"),
    )
    for a, b in (pair, pair[::-1])
}


@dataclass(frozen=True)
class Mutant:
    """One changed function of a module."""

    module: str
    function: str  # qualified name of the outermost function
    line: int
    end_line: int  # of the statement that was changed
    before: str
    after: str
    tree: ast.Module

    @property
    def change(self) -> str:
        return f"{self.before}  ->  {self.after}"


def mutants_of(module: str, path: Path) -> Iterator[Mutant]:
    """Yield every mutant of the bodies of a module's functions, in the order of its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function, node in _functions(tree.body, ""):
        for statement in _statements(node.body):
            seen = set()
            for target, replacement in _changes(statement):
                mutant = _mutant(module, tree, function, statement, target, replacement)
                if mutant.change not in seen:
                    yield mutant
                seen.add(mutant.change)


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _changes(statement: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield what of a statement, its own statements aside, may become what."""
    match statement:
        case ast.Raise() | ast.Import() | ast.ImportFrom():
            return  # what an error says, and imports, which fail at once
        case ast.Expr(value=ast.Constant()):
            return  # a docstring
        case ast.AugAssign(op=op):
            yield statement, ast.Pass()
            if type(op) in _OPERATORS:
                new = _OPERATORS[type(op)]()
                yield statement, ast.AugAssign(statement.target, new, statement.value)
        case ast.Expr():
            yield statement, ast.Pass()
        case ast.If(test=test) | ast.While(test=test):
            yield test, ast.Constant(value=False)
            if isinstance(statement, ast.If):
                yield test, ast.Constant(value=True)
    for node in _expressions(statement):
        yield from ((node, new) for new in _replacements(node))


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the expressions of a statement, without annotations, nested statements and texts."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "args") and not isinstance(
            node, ast.Call
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if (
                isinstance(child, ast.AST)
                and not isinstance(child, (ast.stmt, ast.JoinedStr, ast.excepthandler))
                and not (isinstance(child, ast.keyword) and child.arg == "strict")
            ):
                if isinstance(child, ast.expr):
                    yield child
                yield from _expressions(child)


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 if value else 1.0)
            yield ast.Constant(value / 2 if value else -1.0)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield operand
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.comprehension(ifs=[_, *_]):
            yield ast.comprehension(node.target, node.iter, [], node.is_async)
        case ast.Call(func=ast.Attribute(attr="where"), args=[a, b, c]):
            yield ast.Call(node.func, [a, c, b], node.keywords)
        case ast.Call(func=ast.Attribute(attr="searchsorted"), args=args, keywords=keywords) if all(
            k.arg != "side" for k in keywords
        ):
            right = ast.keyword("side", ast.Constant("right"))
            yield ast.Call(node.func, args, [*keywords, right])
        case ast.Compare(left=left, ops=ops, comparators=others):
            for i, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:i], _COMPARISONS[type(op)](), *ops[i + 1 :]], others)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(op)](), right)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _NAMES:
            yield ast.Call(ast.Name(_NAMES[name], ast.Load()), args, keywords)
    if isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield ast.Attribute(node.value, _NAMES[node.attr], node.ctx)
    if isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg not in (None, "strict"):  # strict says that the lengths are equal
                yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        return self.replacement if node is self.target else self.generic_visit(node)


def _mutant(
    module: str,
    tree: ast.Module,
    function: str,
    statement: ast.stmt,
    target: ast.AST,
    replacement: ast.AST,
) -> Mutant:
    # The memo lets target and statement be found again in the copy.
    memo: dict[int, ast.AST] = {}
    changed = copy.deepcopy(tree, memo)
    before = _head(statement)
    new = _Replace(memo[id(target)], replacement).visit(changed)
    ast.fix_missing_locations(new)
    now = replacement if target is statement else memo[id(statement)]
    header = getattr(statement, "body", None)
    end = header[0].lineno - 1 if isinstance(header, list) else statement.end_lineno
    return Mutant(
        module, function, statement.lineno, end or statement.lineno, before, _head(now), new
    )


def _head(statement: ast.AST) -> str:
    """Return a statement's source in one line, without the statements inside."""
    if isinstance(getattr(statement, "body", None), list):
        statement = copy.copy(statement)
        statement.body = []  # type: ignore[attr-defined]
        if hasattr(statement, "orelse"):
            statement.orelse = []
    return " ".join(ast.unparse(statement).split())
