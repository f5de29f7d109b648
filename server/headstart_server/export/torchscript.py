"""TorchScript export, all of it: torch deprecates the format, so one file holds what will go one day.

`forward(inputs: List[Tensor]) -> List[Tensor]` is the graph; `predict(columns: Dict[str, List[str]])` reads raw
strings with nothing but torch, where every text input's tokenizer is BERT's kind.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.image import ImageStatistics
from headstart_server.data.features.number import NumberStatistics
from headstart_server.data.features.text import TextStatistics
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.export.graph import ExportGraph
from headstart_server.export.readers import BinaryReader, CategoryReader, ImageReader, NumberReader, TextReader
from headstart_server.export.wordpiece import wordpiece_of

Preparations = Mapping[str, TextPreparation | ImageTransform]


class _Listed(nn.Module):
    """The graph over a list of tensors, which a compiled caller can build."""

    def __init__(self, graph: ExportGraph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        return list(self.graph(*inputs))


class RawModel(nn.Module):
    """Readers before the graph."""

    def __init__(self, graph: nn.Module, readers: list[nn.Module], columns: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.graph = graph
        self.readers = nn.ModuleList(readers)
        self.columns = columns
        self.pixels = [isinstance(reader, ImageReader) for reader in readers]
        self.outputs = outputs

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        result: list[Tensor] = self.graph(inputs)
        return result

    @torch.jit.export
    def predict(
        self, columns: dict[str, list[str]], first_row: int = 1, images: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Raw cells by column to outputs by feature; an empty cell is a missing one.

        `images` holds the pixels of image columns, uint8 [n, 3, h, w]: TorchScript reads no files. Raises ValueError
        naming the column, the row (counted from `first_row`) and the value of a cell it cannot read.
        """
        inputs: list[Tensor] = []
        for index, reader in enumerate(self.readers):
            column = self.columns[index]
            if self.pixels[index]:
                if images is None or column not in images:
                    raise ValueError(f"the pixels of column '{column}' are missing")
                inputs.append(images[column])
            elif column not in columns:
                raise ValueError(f"column '{column}' is missing")
            else:
                inputs += reader(columns[column], first_row)
        outputs: list[Tensor] = self.graph(inputs)
        return {self.outputs[index]: outputs[index] for index in range(len(outputs))}


def export_torchscript(
    graph: ExportGraph,
    examples: tuple[Tensor, ...],
    preparations: Preparations,
    path: Path,
) -> bool:
    """Writes the graph traced at `examples`; returns whether it also reads raw cells (`predict`)."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracer warnings are settled by the parity check at other shapes
        trace: Callable[..., torch.jit.ScriptModule] = torch.jit.trace
        # check_trace would compare at the same shapes; the parity check does so at others.
        traced = trace(_Listed(graph), (list(examples),), check_trace=False)
        readers = None if graph.head_only else readers_of(graph.features, preparations)
        module = traced
        if readers is not None:
            columns = [feature.spec.source for feature in graph.features]
            module = torch.jit.script(RawModel(traced, readers, columns, graph.output_names))
        with_paths = path.with_name(f".{path.name}")
        torch.jit.save(module, str(with_paths))
    _copy_without_sources(with_paths, path)
    with_paths.unlink()
    return readers is not None


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Reads an exported module back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load: Callable[[str], torch.jit.ScriptModule] = torch.jit.load
        return load(str(path))


def _copy_without_sources(source: Path, target: Path) -> None:
    """Leaves out the debug files, which hold the paths and lines of the Python files of the machine that exports.

    What stays of them are module names, the compiled code's own names and lines.
    """
    reader = torch._C.PyTorchFileReader(str(source))
    writer = torch._C.PyTorchFileWriter(str(target))
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl"):
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()


def readers_of(features: tuple[FittedFeature, ...], preparations: Preparations) -> list[nn.Module] | None:
    """A reader per input, or None where one cannot be compiled (sets, vectors, other tokenizers), or where a text is
    read of a column of labels, whose cells `predict.py` spells as the training rows do before the module has them."""
    labels = {feature.spec.source for feature in features if feature.spec.type in ("category", "binary")}
    if any(feature.spec.type == "text" and feature.spec.source in labels for feature in features):
        return None
    readers = [_reader(feature, preparations) for feature in features]
    return None if any(reader is None for reader in readers) else [reader for reader in readers if reader is not None]


def _reader(feature: FittedFeature, preparations: Preparations) -> nn.Module | None:
    match feature.statistics:
        case CategoryStatistics() as statistics:
            return CategoryReader(statistics)
        case BinaryStatistics() as statistics:
            return BinaryReader(feature.spec.source, statistics)
        case NumberStatistics():
            return NumberReader(feature.spec.source)
        case ImageStatistics():
            return ImageReader()
        case TextStatistics() as statistics:
            preparation = preparations[feature.name]
            assert isinstance(preparation, TextPreparation)
            tokenizer = wordpiece_of(preparation)
            # Compiled strings lower ASCII alone.
            return TextReader(tokenizer, statistics) if tokenizer and not statistics.lowercase else None
        case _:
            return None
