#!/usr/bin/env bash
# One would guess that transformers' AutoConfig, given a config.json whose numbers are of another JSON type than the field
# (768.0 for 768, as writers in other languages put whole numbers, or 1 for 1.0), converts them as its older versions did, or
# raises a ValueError or a TypeError; the text of what is raised does say "TypeError".
#
# In truth whether a number is converted depends on the field: 0 is taken for the float hidden_dropout_prob, 1 is refused for
# the float layer_norm_eps, and 768.0 for the int hidden_size. And what is raised is StrictDataclassFieldValidationError of
# huggingface_hub, which derives from Exception alone: `except (OSError, ValueError, TypeError, KeyError)` lets it pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'transformers==5.24.0' 'huggingface_hub==2.4.0'
cd "$folder"
HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import json
import pathlib

import huggingface_hub
import transformers

print("transformers", transformers.__version__, "huggingface_hub", huggingface_hub.__version__)


def read(**given):
    folder = pathlib.Path("model")
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **given}))
    try:
        transformers.AutoConfig.from_pretrained(folder)
    except Exception as error:
        return error
    return None


taken, small, whole = read(hidden_dropout_prob=0), read(layer_norm_eps=1), read(hidden_size=768.0)
for name, error in (("hidden_dropout_prob: 0", taken), ("layer_norm_eps: 1", small), ("hidden_size: 768.0", whole)):
    print(name, "->", "taken" if error is None else " ".join(f"{type(error).__name__}: {error}".split())[:150])
assert taken is None
for error in (small, whole):
    assert type(error).__name__ == "StrictDataclassFieldValidationError"
    assert "TypeError" in str(error)
    assert not isinstance(error, (OSError, ValueError, TypeError, KeyError, RuntimeError))
PY
echo "as described"
