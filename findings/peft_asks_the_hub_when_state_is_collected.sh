#!/usr/bin/env bash
# One would guess that peft.get_peft_model_state_dict, which returns the adapter's tensors of a model in memory, reads memory
# alone: the base model was built from a configuration, without any hub.
#
# In truth, unless `save_embedding_layers` is given or HF_HUB_OFFLINE set, it asks the hub for the config.json of whatever
# `base_model_name_or_path` says in the adapter's configuration, to see whether the vocabulary was changed. The name of a
# model that is nobody's but one's own thus leaves the machine whenever a checkpoint is taken, and where the hub does not
# answer, the call waits for it and warns. With save_embedding_layers=False nothing is asked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'torch==2.15.0' 'transformers==5.24.0' 'peft==0.21.2'
cat >demo.py <<'PY'
import os
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

asked = []


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        asked.append(f"{self.command} {self.path}")
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_):
        pass


hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=hub.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{hub.server_port}"
os.environ.pop("HF_HUB_OFFLINE", None)
warnings.simplefilter("ignore")

import peft  # noqa: E402
import transformers  # noqa: E402

config = transformers.BertConfig(
    vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
)
lora = peft.LoraConfig(r=2, target_modules=["query"], base_model_name_or_path="own-model")
model = peft.inject_adapter_in_model(lora, transformers.BertModel(config))
asked.clear()
quiet = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
before = list(asked)
found = peft.get_peft_model_state_dict(model)
print(f"peft {peft.__version__}; told not to save embeddings it asked {before}, by default {sorted({each for each in asked if "own-model" in each})}")
same = found.keys() == quiet.keys()
sys.exit(0 if same and not before and any("own-model/resolve/main/config.json" in each for each in asked) else 1)
PY
venv/bin/python demo.py 2>/dev/null
