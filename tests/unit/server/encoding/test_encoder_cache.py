"""The cache spares loading the same encoder again, and holds one at a time."""

from concurrent.futures import ThreadPoolExecutor

from headstart_server.encoders.text import TextEncoder
from headstart_server.encoding.encoder_cache import EncoderCache
from torch import nn


def test_the_encoder_used_last_is_loaded_once_however_many_want_it() -> None:
    encoder_cache = EncoderCache()
    loads: list[str] = []

    def get(space: str) -> nn.Module:
        def load() -> TextEncoder:
            loads.append(space)
            return TextEncoder(nn.Identity(), "mean", len(space))

        return encoder_cache.get(space, load)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(get, ["a"] * 8))
    assert loads == ["a"] and all(encoder is found[0] for encoder in found)
    assert get("bc").dimension == 2
    assert get("a") is not found[0]
    assert loads == ["a", "bc", "a"]
