#!/usr/bin/env bash
# One would guess that an Arrow IPC file is its magic bytes and then an IPC stream, as the format's page says ("the file
# format is an extension of the streaming format"), so that whoever skips the first eight bytes may read the rest as a
# stream, batch by batch, without the footer. Files that pyarrow writes can be read so.
#
# In truth files of polars' DataFrame.write_ipc cannot: right behind the magic lies the schema's flatbuffer without the
# continuation marker and the length that begin a message, so a stream reader stops there. The footer is sound, and
# readers that go by it (pyarrow.ipc.open_file) see every row. Read IPC files by their footer, never as streams.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'polars==2.1.0' 'pyarrow==26.0.1'
cd "$folder"
venv/bin/python - <<'PY'
import polars
import pyarrow

rows = {"text": ["good", "bad"]}
polars.DataFrame(rows).write_ipc("polars.arrow")
with pyarrow.ipc.new_file("pyarrow.arrow", pyarrow.table(rows).schema) as writer:
    writer.write_table(pyarrow.table(rows))


def as_stream(path):
    with pyarrow.OSFile(path) as source:
        source.seek(8)
        try:
            return pyarrow.ipc.open_stream(source).read_all().num_rows
        except (pyarrow.ArrowInvalid, OSError) as error:
            return f"refused: {error}"


found = {path: as_stream(path) for path in ("pyarrow.arrow", "polars.arrow")}
whole = {path: pyarrow.ipc.open_file(path).read_all().num_rows for path in found}
print("polars", polars.__version__, "pyarrow", pyarrow.__version__)
print("behind the magic, as a stream:", found)
print("by the footer, rows:", whole)
with open("polars.arrow", "rb") as file:
    lead = file.read(16)
print("first 16 bytes of polars' file:", lead)
assert found["pyarrow.arrow"] == 2
assert str(found["polars.arrow"]).startswith("refused: Invalid flatbuffers")
assert lead[:8] == b"ARROW1\0\0" and lead[8:12] != b"\xff\xff\xff\xff"
assert whole == {"pyarrow.arrow": 2, "polars.arrow": 2}
PY
echo "as described"
