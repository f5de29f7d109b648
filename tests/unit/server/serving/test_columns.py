"""Pretrained inputs of some rows: cut, joined, and kept in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.serving.columns import DecodedImages, ImageFiles, InputColumn, TokenisedTexts
from headstart_server.serving.rows import Rows

from tests.support.images import png, scanned


def texts(*ids: list[int]) -> TokenisedTexts:
    keys = np.array([[sum(row), len(row)] for row in ids], np.uint64)
    return TokenisedTexts(keys, TokenColumn.of(list(ids)))


def decoded(*present: bool) -> DecodedImages:
    """Embeddings and crops that hold their row's number."""
    numbers = np.arange(len(present), dtype=np.float32)
    crops = torch.tensor([row for row, found in enumerate(present) if not found], dtype=torch.uint8)
    return DecodedImages(
        np.stack([numbers, numbers], 1), np.array(present), crops[:, None, None, None].expand(-1, 3, 2, 2)
    )


def ids_of(column: InputColumn) -> list[list[int]]:
    assert isinstance(column, TokenisedTexts)
    return [column.tokens.select(np.array([row])).ids.tolist() for row in range(len(column.tokens))]


def test_texts_keep_their_tokens_and_keys_when_they_are_cut_and_joined() -> None:
    column = TokenisedTexts.join([texts([1, 2], [3]), texts([4, 5, 6])])
    assert ids_of(column) == [[1, 2], [3], [4, 5, 6]]
    found = column.select(np.array([2, 0]))
    assert ids_of(found) == [[4, 5, 6], [1, 2]]
    assert found.keys.tolist() == [[15, 3], [3, 2]]


def test_crops_stay_with_the_rows_whose_embedding_the_store_lacks() -> None:
    column = DecodedImages.join([decoded(True, False), decoded(False, True, False)])
    assert column.crops[:, 0, 0, 0].tolist() == [1, 0, 2]
    found = column.select(np.array([4, 0, 2]))
    assert found.present.tolist() == [False, True, False]
    assert found.crops[:, 0, 0, 0].tolist() == [2, 0]
    assert found.embeddings[:, 0].tolist() == [2, 0, 0]


def test_images_are_cut_into_smaller_pieces_and_never_joined_before_they_are_decoded() -> None:
    files = ImageFiles(scanned([png(0)] * 70), np.arange(70))
    rows = Rows(70, {"n": np.arange(70)}, {"image": files, "text": texts(*[[row] for row in range(70)])})
    pieces = list(rows.pieces(lambda: 256))
    assert [(piece.count, piece.pending) for piece in pieces] == [(64, True), (6, True)]
    assert ids_of(pieces[1].columns["text"]) == [[row] for row in range(64, 70)]
    second = pieces[1].columns["image"]
    assert isinstance(second, ImageFiles)
    assert second.numbers.tolist() == list(range(64, 70))
    assert (second.keys == files.keys[64:]).all()
    with pytest.raises(TypeError, match="decoded before"):
        ImageFiles.join([files, files])
