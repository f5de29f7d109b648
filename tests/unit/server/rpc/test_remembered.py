"""Messages are made once for each value, and anew for another one."""

from __future__ import annotations

from headstart_server.rpc.remembered import Remembered


def test_a_message_is_made_once_until_its_value_changes() -> None:
    made = list[dict[str, int]]()

    def make(value: dict[str, int]) -> str:
        made.append(value)
        return str(value)

    remembered = Remembered(make)
    assert [remembered.of("j1", {"a": 1}) for _ in range(3)] == ["{'a': 1}"] * 3
    assert remembered.of("j1", {"a": 2}) == "{'a': 2}"
    assert remembered.of("j2", {"a": 2}) == "{'a': 2}"
    assert made == [{"a": 1}, {"a": 2}, {"a": 2}]


def test_the_least_recently_used_is_forgotten_first() -> None:
    made = list[int]()
    remembered = Remembered(made.append, most=2)
    for name, value in (("a", 1), ("b", 2), ("a", 1), ("c", 3), ("a", 1), ("b", 2)):
        remembered.of(name, value)
    assert made == [1, 2, 3, 2]


def test_what_is_forgotten_is_made_again_and_what_was_never_made_is_no_mistake() -> None:
    made: list[int] = []
    remembered = Remembered(made.append)
    remembered.of("a", 1)
    remembered.forget("a")
    remembered.forget("b")
    remembered.of("a", 1)
    assert made == [1, 1]
