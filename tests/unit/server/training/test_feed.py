"""The feed gives every row of a part once, in an order that the seed and epoch alone decide."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.core.errors import TrainingFailedError
from headstart_server.data.images.loader import LoadedImages
from headstart_server.data.parts import Part
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.model.ecd import Embedded, Tokens
from headstart_server.training.feed import Feed, TokenFeed
from hypothesis import given
from hypothesis import strategies as st

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=80)


def _feed(lengths: list[int], *, texts: bool = True) -> Feed:
    count = len(lengths)
    tokens = TokenColumn.of([[row + 1] * length for row, length in enumerate(lengths)])
    rows = torch.arange(count)
    parts = {Part.TRAIN: rows[rows % 4 != 3], Part.VALIDATION: rows[rows % 4 == 3], Part.TEST: rows[:0]}
    return Feed(
        {"x": rows.float() * 10},
        {"text": TokenFeed(tokens, 0)} if texts else {},
        {"out": rows * 100},
        parts,
        CPU,
    )


@given(LENGTHS, st.integers(1, 20), st.integers(0, 2**62), st.integers(1, 1000), st.booleans())
def test_every_training_row_comes_once_and_the_same_way_again(
    lengths: list[int], batch: int, seed: int, epoch: int, texts: bool
) -> None:
    feed = _feed(lengths, texts=texts)
    batches = [rows.tolist() for rows in feed.shuffled(Part.TRAIN, batch, seed, epoch)]
    assert sorted(row for rows in batches for row in rows) == feed.parts[Part.TRAIN].tolist()
    assert batches == [rows.tolist() for rows in feed.shuffled(Part.TRAIN, batch, seed, epoch)]
    assert max(map(len, batches)) <= batch
    assert len(batches) == -(-feed.count(Part.TRAIN) // batch)


@given(LENGTHS, st.integers(1, 20), st.booleans())
def test_evaluation_covers_a_part_once(lengths: list[int], batch: int, texts: bool) -> None:
    feed = _feed(lengths, texts=texts)
    found = [row for rows in feed.ordered(Part.TRAIN, batch) for row in rows.tolist()]
    assert sorted(found) == feed.parts[Part.TRAIN].tolist()


def test_epochs_and_seeds_shuffle_differently_and_leave_torchs_own_numbers_alone() -> None:
    feed = _feed([1] * 100)

    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat(list(feed.shuffled(Part.TRAIN, 8, seed, epoch))).tolist()

    state = torch.get_rng_state()
    orders = [order(1, 1), order(1, 2), order(2, 1)]
    assert len({tuple(item) for item in orders}) == 3
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_of_similar_length_share_a_batch() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 100, 400).tolist()
    feed = _feed(lengths)

    def padding(batches: list[torch.Tensor]) -> int:
        return sum(max(lengths[row] for row in rows.tolist()) * len(rows) for rows in batches)

    bucketed = padding(list(feed.shuffled(Part.TRAIN, 10, 0, 1)))
    shuffled = padding(list(_feed(lengths, texts=False).shuffled(Part.TRAIN, 10, 0, 1)))
    assert bucketed < 0.7 * shuffled


@given(LENGTHS, st.data())
def test_rows_are_taken_with_their_targets_and_tokens(lengths: list[int], data: st.DataObject) -> None:
    feed = _feed(lengths)
    wanted = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=10))
    batch, targets = feed.take(torch.tensor(wanted))
    numbers = batch["x"]
    assert isinstance(numbers, torch.Tensor) and numbers.tolist() == [10 * row for row in wanted]
    assert targets["out"].tolist() == [100 * row for row in wanted]
    tokens = batch["text"]
    assert isinstance(tokens, Tokens)
    mask = torch.ones_like(tokens.ids) if tokens.mask is None else tokens.mask
    assert mask.sum(1).tolist() == [lengths[row] for row in wanted]
    assert ((tokens.ids == (torch.tensor(wanted) + 1)[:, None]) == mask.bool()).all()


@given(LENGTHS, st.integers(1, 5))
def test_the_longest_rows_are_those_that_cost_most(lengths: list[int], count: int) -> None:
    feed = _feed(lengths)
    train = feed.parts[Part.TRAIN].tolist()
    found = [lengths[row] for row in feed.longest(count).tolist()]
    assert sorted(found) == sorted((lengths[row] for row in train), reverse=True)[:count][::-1]


class _Loader:
    """Loads numbers instead of images, and notes what it is asked for."""

    def __init__(self, *, bad: bool = False) -> None:
        self.asked: list[list[int]] = []
        self.epochs: list[int | None] = []
        self.bad = {2: "it is damaged"} if bad else {}

    def stream(self, batches: Iterable[list[int]], epoch: int | None) -> Iterator[LoadedImages]:
        self.epochs.append(epoch)
        for rows in batches:
            self.asked.append(rows)
            bad = {row: reason for row, reason in self.bad.items() if row in rows}
            yield LoadedImages(rows, {"image": torch.tensor(rows)[:, None]}, {"image": bad}, 0.0)


def test_images_come_with_the_rows_that_they_belong_to_and_are_asked_for_as_needed() -> None:
    loader: Any = _Loader()
    feed = replace(_feed([1] * 40), images=loader)
    taken = 0
    for rows, batch, targets in feed.stream(feed.shuffled(Part.TRAIN, 4, 0, 3), 3):
        images = batch["image"]
        assert isinstance(images, torch.Tensor) and images[:, 0].tolist() == rows.tolist()
        assert targets["out"].tolist() == (100 * rows).tolist()
        taken += 1
        assert len(loader.asked) == taken
    assert taken == 8
    assert len(list(feed.stream(feed.ordered(Part.VALIDATION, 4)))) == 3
    assert loader.epochs == [3, None]


def test_an_image_that_cannot_be_read_any_more_ends_the_training_by_name() -> None:
    loader: Any = _Loader(bad=True)
    feed = replace(_feed([1] * 4), images=loader)
    with pytest.raises(TrainingFailedError, match=r"the image of .image. in row 3 .* it is damaged") as caught:
        list(feed.stream(feed.ordered(Part.TRAIN, 4)))
    assert caught.value.reason == "BAD_IMAGE"


def test_standardising_once_is_standardising_at_every_step() -> None:
    from tests.support.training import Run, settings_of

    run = Run(settings_of())
    model, feed = run.model(), run.feed()
    assert feed.standardised(model, 10**9).embedded == {}

    from headstart_server.model.ecd import ECD, PretrainedInput
    from headstart_server.spec.model import CombinerSpec

    from tests.support.training import feature_of

    inputs, output = [feature_of("t", "text", ["a"])], run.features()[1]
    pretrained = PretrainedInput(4)
    embeddings = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).half()
    pretrained.standardise(embeddings)
    skipping = ECD(inputs, [output], CombinerSpec(), {"t": pretrained})
    rows = torch.arange(20)
    plain = Feed({"t": embeddings}, {}, {"out": rows}, dict.fromkeys(Part, rows), CPU)
    once = plain.standardised(skipping, 10**9)
    assert isinstance(once.take(rows)[0]["t"], Embedded)
    assert torch.allclose(skipping(plain.take(rows)[0])["out"], skipping(once.take(rows)[0])["out"], atol=1e-6)
    assert plain.standardised(skipping, 10).embedded == {}
