"""TorchScript export, all of it: torch deprecates the format, so one file holds what will go one day.

`forward(inputs: List[Tensor]) -> List[Tensor]` is the graph; `predict(columns: Dict[str, List[str]])` reads raw
strings with nothing but torch, where every text input's tokenizer is BERT's kind.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from headstart_server.data.features.binary import BinaryStatistics, binary_codes
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.cells import MISSING_WORDS
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.encoders.text import TextPreparation
from headstart_server.export.graph import ExportGraph
from headstart_server.export.wordpiece import wordpiece_of


class _Listed(nn.Module):
    """The graph over a list of tensors, which a compiled caller can build."""

    def __init__(self, graph: ExportGraph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        return list(self.graph(*inputs))


class TextReader(nn.Module):
    """Texts to ids and mask."""

    def __init__(self, tokenizer: nn.Module, lowercase: bool) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.lowercase = lowercase

    def forward(self, cells: list[str]) -> list[Tensor]:
        if self.lowercase:
            cells = [cell.lower() for cell in cells]
        ids, mask = self.tokenizer(cells)
        return [ids, mask]


class NumberReader(nn.Module):
    """Cells to float64; a missing one is NaN, which the graph fills. Refuses what training refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.missing = dict.fromkeys(MISSING_WORDS, True)

    def forward(self, cells: list[str]) -> list[Tensor]:
        values: list[float] = []
        for cell in cells:
            word = cell.strip().lower()
            if word in self.missing:
                values.append(float("nan"))
            else:
                if "x" in word or "n" in word:  # hexadecimal, inf and nan, which C would read
                    raise ValueError("a number cell holds no finite number")
                values.append(float(word))
        return [torch.tensor(values, dtype=torch.double)]


class CategoryReader(nn.Module):
    """Cells to indices; unknown ones are 0."""

    def __init__(self, vocabulary: dict[str, int], fill: str) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.fill = fill

    def forward(self, cells: list[str]) -> list[Tensor]:
        indices: list[int] = []
        for cell in cells:
            indices.append(self.vocabulary.get(cell if len(cell) > 0 else self.fill, 0))
        return [torch.tensor(indices, dtype=torch.long)]


class BinaryReader(nn.Module):
    """Cells to 0 and 1."""

    def __init__(self, codes: dict[str, float], fill: float) -> None:
        super().__init__()
        self.codes = codes
        self.fill = fill

    def forward(self, cells: list[str]) -> list[Tensor]:
        values: list[float] = []
        for cell in cells:
            if len(cell) == 0:
                values.append(self.fill)
            elif cell in self.codes:
                values.append(self.codes[cell])
            elif cell.strip().lower() in self.codes:
                values.append(self.codes[cell.strip().lower()])
            else:
                raise ValueError("a binary cell holds neither of the labels")
        return [torch.tensor(values, dtype=torch.float)]


class RawModel(nn.Module):
    """Readers before the graph."""

    def __init__(self, graph: nn.Module, readers: list[nn.Module], columns: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.graph = graph
        self.readers = nn.ModuleList(readers)
        self.columns = columns
        self.outputs = outputs

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        result: list[Tensor] = self.graph(inputs)
        return result

    @torch.jit.export
    def predict(self, columns: dict[str, list[str]]) -> dict[str, Tensor]:
        """Raw cells by column to outputs by feature; an empty cell is a missing one."""
        inputs: list[Tensor] = []
        for index, reader in enumerate(self.readers):
            inputs += reader(columns[self.columns[index]])
        outputs: list[Tensor] = self.graph(inputs)
        return {self.outputs[index]: outputs[index] for index in range(len(outputs))}


def export_torchscript(
    graph: ExportGraph, examples: tuple[Tensor, ...], preparations: dict[str, TextPreparation], path: Path
) -> bool:
    """Writes the graph traced at `examples`; returns whether it also reads raw cells (`predict`)."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracer warnings are settled by the parity check at other shapes
        traced = torch.jit.trace(_Listed(graph), (list(examples),), check_trace=False)  # type: ignore[no-untyped-call]
        readers = None if graph.head_only else _readers(graph.features, preparations)
        module = traced
        if readers is not None:
            columns = [feature.spec.source for feature in graph.features]
            module = torch.jit.script(RawModel(traced, readers, columns, graph.output_names))
        torch.jit.save(module, str(path))
    return readers is not None


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Reads an exported module back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path))  # type: ignore[no-untyped-call,no-any-return]


def _readers(features: tuple[FittedFeature, ...], preparations: dict[str, TextPreparation]) -> list[nn.Module] | None:
    """A reader per input, or None where one cannot be compiled (sets, vectors, other tokenizers)."""
    readers = [_reader(feature, preparations) for feature in features]
    return None if any(reader is None for reader in readers) else [reader for reader in readers if reader is not None]


def _reader(feature: FittedFeature, preparations: dict[str, TextPreparation]) -> nn.Module | None:
    match feature.statistics:
        case CategoryStatistics() as statistics:
            vocabulary = {value: index for index, value in enumerate(statistics.vocabulary)}
            return CategoryReader(vocabulary, statistics.fill or "")
        case BinaryStatistics() as statistics:
            return BinaryReader(binary_codes(statistics), statistics.fill)
        case _ if feature.spec.type == "number":
            return NumberReader()
        case _ if feature.name in preparations:
            tokenizer = wordpiece_of(preparations[feature.name])
            return TextReader(tokenizer, False) if tokenizer and not feature.spec.preprocessing.lowercase else None
        case _:
            return None
