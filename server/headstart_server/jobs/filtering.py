"""Filters of jobs as SQL."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import JSON, Column, ColumnElement, Text, and_, cast, func, literal, not_, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from headstart_server.core.filters import Both, Comparison, Either, Field, Kind, Node, Not, wildcards
from headstart_server.core.states import State
from headstart_server.jobs.tables import JOBS

FIELDS: Mapping[str, Field] = {
    "state": Field(Kind.CHOICE, tuple(State)),
    "display_name": Field(Kind.TEXT),
    "description": Field(Kind.TEXT),
    "creator": Field(Kind.TEXT),
    "model": Field(Kind.TEXT, prefix="models/"),
    "priority": Field(Kind.NUMBER),
    "create_time": Field(Kind.TIME),
    "update_time": Field(Kind.TIME),
    "start_time": Field(Kind.TIME),
    "end_time": Field(Kind.TIME),
    "labels": Field(Kind.LABELS),
}
"""What filters of jobs may name."""
SEARCHED = "display_name"
"""Where bare words are looked for."""
_COMPARE: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}


class _Label(FunctionElement[Any]):
    """A label's value in a text of JSON; NULL where there is none."""

    type = Text()
    inherit_cache = True


@compiles(_Label, "sqlite")
def _label_of_sqlite(element: _Label, compiler: SQLCompiler, **options: Any) -> str:
    column, key = element.clauses
    return compiler.process(func.json_extract(column, literal('$."').concat(key).concat('"')), **options)


@compiles(_Label, "postgresql")
def _label_of_postgresql(element: _Label, compiler: SQLCompiler, **options: Any) -> str:
    column, key = element.clauses
    return compiler.process(func.json_extract_path_text(cast(column, JSON), key), **options)


def clause(node: Node) -> ColumnElement[bool]:
    """The filter as a condition on rows of JOBS: what `core.filters.matches` says of their values."""
    match node:
        case Both(terms):
            return and_(*map(clause, terms))
        case Either(terms):
            return or_(*map(clause, terms))
        case Not(term):
            return not_(clause(term))
        case Comparison():
            column = _column(node)
            return and_(column.is_not(None), _compared(node, column))


def _column(node: Comparison) -> ColumnElement[Any]:
    if node.kind is Kind.LABELS:
        return _Label(JOBS.c.labels, node.key)
    column: Column[Any] = JOBS.c[node.field]
    return column


def _compared(node: Comparison, column: ColumnElement[Any]) -> ColumnElement[bool]:
    value = node.value
    if value is None:  # any
        return column.is_not(None)
    if node.operator == ":":
        return func.lower(column).contains(value.lower(), autoescape=True)
    if node.kind is Kind.TIME:
        value = value.isoformat()
    if node.kind in (Kind.TEXT, Kind.LABELS):
        text, before, after = wildcards(value)
        equal = _like(column, text, before=before, after=after)
        return equal if node.operator == "=" else not_(equal)
    return _COMPARE[node.operator](column, value)


def _like(column: ColumnElement[Any], text: str, *, before: bool, after: bool) -> ColumnElement[bool]:
    # by position and length: LIKE minds the case of letters in one database and not in the other
    size, start = func.length(column), len(text)
    if before and after:
        return func.replace(column, text, "") != column if text else column.is_not(None)
    if before:
        return and_(size >= start, func.substr(column, size - start + 1, start) == text) if text else size >= 0
    return func.substr(column, 1, start) == text if after else column == text
