"""Metrics: the page says what the code defines, and names follow Prometheus' rules."""

from __future__ import annotations

import re

import pytest
from headstart_server.metrics import DEFINITIONS, Definition

from tests.contract.metrics import DOCUMENT, document

DEFINED = pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=lambda definition: definition.name)


def test_the_page_of_metrics_says_what_the_code_does() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "make docs"


@DEFINED
def test_names_and_labels_follow_the_rules(definition: Definition) -> None:
    """https://prometheus.io/docs/practices/naming/"""
    assert re.fullmatch(r"headstart(_[a-z]+)+", definition.name)
    assert definition.name.endswith("_total") == (definition.kind == "counter")
    assert not definition.name.endswith(("_count", "_sum", "_bucket", "_created"))
    assert not set(definition.labels) & {"le", "quantile", "instance", "job", "namespace", "pod"}
    assert definition.text.endswith((".", "leave it out"))
