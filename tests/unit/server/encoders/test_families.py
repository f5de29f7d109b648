"""A dozen families of text encoders against the plain models; `make test-families` goes through all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import transformers

from tests.families.check import check

EXPECTED = {
    "bart": "supported",
    "canine": "one length",
    "clip": "supported",
    "convbert": "one length",
    "esm": "supported",
    "fnet": "one length",
    "fsmt": "supported",
    "funnel": "one length",
    "layoutlmv3": "supported",
    "marian": "supported",
    "mobilebert": "one length",
    "mra": "refused",
    "nystromformer": "one length",
    "opt": "supported",
    "reformer": "refused",
    "siglip": "supported",
    "t5gemma": "supported",
    "xlm": "supported",
    "xlnet": "supported",
    "yoso": "one length",
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """transformers reports what it loads, family by family."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(before)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_embedding_depends_on_its_text_alone_or_is_refused(name: str) -> None:
    found = check(name)
    assert not found.failures
    assert found.verdict == EXPECTED[name], found.reason
    assert found.reason or found.verdict != "refused"


@pytest.mark.parametrize("name", ["bart", "fnet"])
def test_an_export_is_the_live_model_or_says_what_is_left(name: str) -> None:
    found = check(name, exports=True)
    assert not found.failures
    for answer in (found.onnx, found.torchscript):
        assert ("head_only" in answer) == (found.verdict == "one length"), answer
