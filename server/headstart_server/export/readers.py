"""Cells to tensors as TorchScript: what `data.features` does to a CSV file's cells, for a model that reads raw rows.

Written in the subset of Python that TorchScript compiles. Compiled strings are bytes, whose methods know ASCII only.
"""

import sys

import torch
from torch import Tensor, nn

from headstart_server.data.canonical import LIST_SEPARATOR
from headstart_server.data.features.binary import BinaryStatistics, binary_codes
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.cells import MISSING_WORDS
from headstart_server.data.features.text import TextStatistics

# Compiled strings know ASCII's white space alone; the rest of Unicode's travels as a table.
_SPACES = tuple(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace())


class TextReader(nn.Module):
    """Texts to ids and mask."""

    def __init__(self, tokenizer: nn.Module, statistics: TextStatistics) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.fill = statistics.fill
        self.separator = LIST_SEPARATOR

    def forward(self, cells: list[str], first_row: int) -> list[Tensor]:
        texts = list(cells)
        for index, cell in enumerate(cells):
            text = cell if len(cell) > 0 else self.fill
            texts[index] = text.rstrip(self.separator).replace(self.separator, " ")
        ids, mask = self.tokenizer(texts)
        return [ids, mask]


class ImageReader(nn.Module):
    """Stands where an image input is: its pixels come beside the cells."""

    def forward(self, cells: list[str], first_row: int) -> list[Tensor]:
        raise ValueError("an image is no cell")


class NumberReader(nn.Module):
    """Cells to float64; a missing one is NaN, which the graph fills."""

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column
        # Arrow reads NaN with a sign as well.
        self.missing = dict.fromkeys((*MISSING_WORDS, "+nan", "-nan"), True)
        self.spaces = list(_SPACES)
        # Of the largest double, 1.7976931348623157e308, and of what is rounded to it.
        self.largest = 179769313486231580

    def forward(self, cells: list[str], first_row: int) -> list[Tensor]:
        values = torch.zeros([len(cells)], dtype=torch.double)  # torch.tensor, compiled, rounds a list to float32
        for index, cell in enumerate(cells):
            word = stripped(cell, self.spaces)
            size = magnitude(word)
            if word.lower() in self.missing:
                values[index].fill_(float("nan"))
            elif size > 309 or (size == 309 and leading(word) > self.largest) or not is_number(word):
                raise ValueError(
                    f"column '{self.column}', row {first_row + index}: '{shown(cell)}' is no finite number"
                )
            elif size >= -306:  # C refuses the smallest, which are 0 to any model
                values[index].fill_(float(word))
        return [values]


class CategoryReader(nn.Module):
    """Cells to indices; unknown ones are 0."""

    def __init__(self, statistics: CategoryStatistics) -> None:
        super().__init__()
        self.vocabulary = {value: index for index, value in enumerate(statistics.vocabulary)}
        self.fill = statistics.fill or ""

    def forward(self, cells: list[str], first_row: int) -> list[Tensor]:
        indices: list[int] = []
        for cell in cells:
            indices.append(self.vocabulary.get(cell if len(cell) > 0 else self.fill, 0))
        return [torch.tensor(indices, dtype=torch.long)]


class BinaryReader(nn.Module):
    """Cells to 0 and 1; other usual words for them count where both labels are such words."""

    def __init__(self, column: str, statistics: BinaryStatistics) -> None:
        super().__init__()
        self.column = column
        self.codes = binary_codes(statistics)
        self.usual = len(self.codes) > 2
        self.fill = statistics.fill
        self.labels = f"'{statistics.true_label}' nor '{statistics.false_label}'"
        self.spaces = list(_SPACES)

    def forward(self, cells: list[str], first_row: int) -> list[Tensor]:
        values: list[float] = []
        for index, cell in enumerate(cells):
            word = stripped(cell, self.spaces).lower()
            if len(cell) == 0:
                values.append(self.fill)
            elif cell in self.codes:
                values.append(self.codes[cell])
            elif self.usual and word in self.codes:
                values.append(self.codes[word])
            else:
                where = f"column '{self.column}', row {first_row + index}"
                raise ValueError(f"{where}: '{shown(cell)}' is neither {self.labels}")
        return [torch.tensor(values, dtype=torch.float)]


def stripped(cell: str, spaces: list[str]) -> str:
    """The cell without white space at its ends, Unicode's included."""
    word = cell.strip()
    found = True
    while found:
        found = False
        for space in spaces:
            if word.startswith(space):
                word = word[len(space) :]
                found = True
            elif word.endswith(space):
                word = word[: len(word) - len(space)]
                found = True
    return word


def is_number(word: str) -> bool:
    """Whether it is a decimal number as Arrow reads them: no hexadecimal, infinity or underscores."""
    position = 1 if word.startswith("+") or word.startswith("-") else 0
    whole = digits(word, position)
    position += whole
    fraction = 0
    if word[position : position + 1] == ".":
        fraction = digits(word, position + 1)
        position += 1 + fraction
    if whole + fraction == 0:
        return False
    if word[position : position + 1].lower() == "e":
        position += 1
        if word[position : position + 1] == "+" or word[position : position + 1] == "-":
            position += 1
        exponent = digits(word, position)
        if exponent == 0:
            return False
        position += exponent
    return position == len(word)


def magnitude(word: str) -> int:
    """The m of 10^(m - 1) <= |number| < 10^m, 0 for zero; bounded, for C refuses numbers out of its range."""
    start = 1 if word.startswith("+") or word.startswith("-") else 0
    whole = digits(word, start)
    end = start + whole
    size = len(word[start:end].lstrip("0"))
    if word[end : end + 1] == ".":
        fraction = digits(word, end + 1)
        significant = word[end + 1 : end + 1 + fraction].lstrip("0")
        if size == 0:
            if len(significant) == 0:
                return 0
            size = len(significant) - fraction
        end += 1 + fraction
    elif size == 0:
        return 0
    exponent = word[end + 1 :]
    negative = exponent.startswith("-")
    exponent = exponent.lstrip("+-").lstrip("0")
    # An exponent of any length is out of range before it is too long for an integer.
    if len(exponent) > 6:
        return -1000000 if negative else 1000000
    if digits(exponent, 0) == len(exponent) and len(exponent) > 0:
        size += -int(exponent) if negative else int(exponent)
    return size


def leading(word: str) -> int:
    """The first 18 significant digits of a number, zeros behind those that it has."""
    start = 1 if word.startswith("+") or word.startswith("-") else 0
    end = start + digits(word, start)
    found = word[start:end]
    if word[end : end + 1] == ".":
        found += word[end + 1 : end + 1 + digits(word, end + 1)]
    found = (found.lstrip("0") + "000000000000000000")[:18]
    return int(found)


def digits(word: str, position: int) -> int:
    """How many digits stand from a position on."""
    end = position
    while word[end : end + 1].isdigit():
        end += 1
    return end - position


def shown(cell: str) -> str:
    """A cell for a message: at most 80 bytes, cut between characters."""
    if len(cell) <= 80:
        return cell
    end = 80
    # A byte within a character begins with the bits 10 (RFC 3629).
    while ord(cell[end]) & 192 == 128:
        end -= 1
    return cell[:end]
