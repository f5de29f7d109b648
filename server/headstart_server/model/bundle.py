"""Bundles: published models on disk. Safetensors and JSON only.

`bundle.json` (spec, features with statistics, metrics, encoders), `head.safetensors`, `sample.arrow`, and for each
fine-tuned encoder `encoders/{index}/`, in transformers' layout or as torchvision's weights; of an adapter in PEFT's. A
frozen encoder, and one with an adapter, is a reference to a shared copy, kept once by digest.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors.torch import load_file, save_file
from torch import Tensor

from headstart_server.core.digests import file_digest, fingerprint
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.adapters import load_adapter, merge, require_peft
from headstart_server.encoders.image import ImageSource, load_image_encoder, opened_source
from headstart_server.encoders.pretrained import PretrainedEncoder
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import load_encoder
from headstart_server.encoders.text_preparation import TextPreparation, load_preparation
from headstart_server.model.ecd import ECD, PretrainedInput
from headstart_server.model.encoder_store import EncoderReference, EncoderStore
from headstart_server.model.heads import HEADS
from headstart_server.model.integrity import damaged, verify_files
from headstart_server.model.neural_head import NeuralHead
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.folders import SharedFolders

FORMAT = 1
_SAMPLE = "sample.arrow"
_ENCODERS = "encoders/"
_SEAL = "seal"
"""Digest of all other details, which the model's own digest does not cover."""


@dataclass(frozen=True)
class Bundle:
    """A published model, loaded lazily: `model()` builds the network."""

    folder: Path
    spec: TrainSpec
    inputs: tuple[FittedFeature, ...]
    outputs: tuple[FittedFeature, ...]
    encoders: dict[str, EncoderReference]
    head: str
    """Its kind."""
    details: dict[str, Any]
    """Metrics, job, display name, creation time, digest, digests of its files."""

    def source(self, feature: str, encoder_store: EncoderStore) -> ImageSource:
        """The weights of a pretrained input; raises DataLossError if they are damaged."""
        reference = self.encoders[feature]
        if reference.folder:
            self._verify_encoders()
            return opened_source(reference.name, self.folder / reference.folder)
        return encoder_store.source(reference.digest, reference.name)

    def model(self, encoder_store: EncoderStore, *, with_encoders: bool) -> ECD:
        """The network in evaluation mode, with real encoders or with skip encoders."""
        pretrained = {name: PretrainedInput(reference.dimension) for name, reference in self.encoders.items()}
        model = ECD(self.inputs, self.outputs, self.spec.combiner, pretrained, self.head)
        # it has no encoders, and skip encoders have no state: real ones take their place below
        model.load_learned_state(self.learned_state())
        if with_encoders:
            for name in self.encoders:
                pretrained[name].restore(self.encoder(name, encoder_store))
        return model.eval()

    def learned_state(self) -> dict[str, Tensor]:
        """What training changed but for fine-tuned encoders, by its name in an ECD."""
        state = load_file(self.folder / "head.safetensors")
        return {_current_name(name): tensor for name, tensor in state.items()}

    def encoder(self, feature: str, encoder_store: EncoderStore) -> PretrainedEncoder:
        """The encoder of a pretrained input, in float32, in evaluation mode."""
        source, reference = self.source(feature, encoder_store), self.encoders[feature]
        if reference.kind == "image":
            transform = ImageTransform.from_description(reference.transform)
            return load_image_encoder(source, transform, reference.reduction, use_pretrained=True, field=feature)
        assert isinstance(source, ModelSource)
        encoder = load_encoder(source, reference.reduction, use_pretrained=True, field=feature)
        if not reference.adapter:
            return encoder
        require_peft(f"models/{self.folder.name}")
        return merge(load_adapter(encoder, self.adapter_folder(feature)))

    def adapter_folder(self, feature: str) -> Path:
        """Where the adapter of a text input is; raises DataLossError if it is damaged."""
        self._verify_encoders()
        return self.folder / self.encoders[feature].adapter

    def _verify_encoders(self) -> None:
        """Raises DataLossError where a file of what training has changed of encoders is not what was published."""
        files = {name: digest for name, digest in self.details["files"].items() if name.startswith(_ENCODERS)}
        verify_files(self.folder, files, f"models/{self.folder.name}")

    def sample(self) -> pa.Table:
        """Some training rows of the input columns."""
        with pa.ipc.open_file(str(self.folder / _SAMPLE)) as reader:
            return reader.read_all()

    def preparation(self, feature: str, encoder_store: EncoderStore) -> TextPreparation | ImageTransform:
        """The tokenizer of a text input, or the transform of an image input."""
        reference = self.encoders[feature]
        if reference.kind == "image":
            return ImageTransform.from_description(reference.transform)
        source = self.source(feature, encoder_store)
        assert isinstance(source, ModelSource)
        return load_preparation(source, reference.max_length, feature)


def save_bundle(
    folders: SharedFolders,
    identifier: str,
    spec: TrainSpec,
    model: ECD,
    inputs: tuple[FittedFeature, ...],
    outputs: tuple[FittedFeature, ...],
    references: Mapping[str, EncoderReference],
    save_encoders: Mapping[str, Callable[[Path], None]],
    sample: pa.Table,
    details: dict[str, Any],
) -> None:
    """Publishes a bundle atomically. `save_encoders` save what training has changed of encoders, each into a folder.

    `sample` holds some training rows of the input columns: what exports are checked on.
    """
    with folders.publish(identifier) as temporary:
        save_file(_head_state(model), temporary / "head.safetensors")
        with pa.ipc.new_file(str(temporary / _SAMPLE), sample.schema) as writer:
            writer.write_table(sample)
        for name, reference in references.items():
            if reference.own_folder:
                (temporary / reference.own_folder).mkdir(parents=True)
                save_encoders[name](temporary / reference.own_folder)
        files = {
            str(path.relative_to(temporary)): file_digest(path)
            for path in sorted(temporary.rglob("*"))
            if path.is_file()
        }
        content = _plain(
            {
                "format": FORMAT,
                "spec": spec.compact(),
                "inputs": [feature.to_json() for feature in inputs],
                "outputs": [feature.to_json() for feature in outputs],
                "encoders": {name: reference.to_json() for name, reference in references.items()},
                "head": {"kind": model.head.kind},
            }
        )
        details = _plain({**details, "digest": _content_digest(content, files), "files": files})
        _write(temporary / "bundle.json", {**content, "details": {**details, _SEAL: fingerprint(details)}})


def _head_state(model: ECD) -> dict[str, Tensor]:
    """What training changed but for fine-tuned encoders, which are saved by themselves."""
    fine_tuned = tuple(f"encoders.{index}.encoder." for index in range(len(model.encoders)))
    state = model.learned_state().items()
    return {key: value.detach().cpu().contiguous() for key, value in state if not key.startswith(fine_tuned)}


def load_bundle(folder: Path) -> Bundle:
    """Opens a bundle and verifies its files, those of fine-tuned encoders when they are used.

    Raises FileNotFoundError where there is none, DataLossError where it is damaged.
    """
    found = described_bundle(folder, (folder / "bundle.json").read_bytes())
    files = found.details["files"].items()
    own = {name: digest for name, digest in files if not name.startswith(_ENCODERS)}
    verify_files(folder, own, f"models/{folder.name}")
    return found


def described_bundle(folder: Path, description: bytes) -> Bundle:
    """A bundle as its `bundle.json` describes it, whose other files nobody has looked at.

    Raises DataLossError where it is damaged.
    """
    try:
        content = json.loads(description)
        details = content.pop("details")
        if details["digest"] != _content_digest(content, details["files"]):
            raise ValueError("its digest is another")
        seal = details.pop(_SEAL, None)  # none in bundles of a release that had no such thing
        if seal is not None and seal != fingerprint(details):
            raise ValueError("its details are others")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(f"models/{folder.name}", "bundle.json is not what was published") from error
    return Bundle(
        folder=folder,
        spec=TrainSpec.model_validate(content["spec"]),
        inputs=tuple(map(FittedFeature.from_json, content["inputs"])),
        outputs=tuple(map(FittedFeature.from_json, content["outputs"])),
        encoders={name: EncoderReference(**value) for name, value in content["encoders"].items()},
        head=_head_kind(content, folder.name),
        details=details,
    )


def _head_kind(content: dict[str, Any], name: str) -> str:
    kind: str = content.get("head", {}).get("kind", NeuralHead.kind)  # bundles of before have none
    if kind not in HEADS:
        raise FailedPreconditionError(
            f"models/{name} has a head of kind {kind!r}, which this version does not know; serve it with the "
            "version that trained it, or a later one",
            reason=Reason.UNKNOWN_HEAD,
        )
    return kind


def _current_name(tensor: str) -> str:
    """Of a tensor: combiner and decoders had no head around them before."""
    return f"head.{tensor}" if tensor.startswith(("combiner.", "decoders.")) else tensor


def _content_digest(content: dict[str, Any], files: dict[str, str]) -> str:
    return fingerprint({**content, "files": files})


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """As it will be read back, so that its digest is the same then."""
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
