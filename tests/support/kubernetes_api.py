"""A Kubernetes API server as its clients see it: objects by their kind, and the warnings of every answer."""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SECONDS, _TRIES = 60, 60


@dataclass(frozen=True)
class Answer:
    """Status code, body and warnings (RFC 9111) of one call."""

    status: int
    body: dict[str, Any]
    warnings: list[str]

    @property
    def message(self) -> str:
        """Why the call failed; empty where it did not."""
        return "" if self.status < 300 else str(self.body.get("message", self.body))


@dataclass(frozen=True)
class Resource:
    """What objects of one kind are called in paths."""

    version: str
    kind: str
    plural: str
    is_namespaced: bool
    verbs: tuple[str, ...]


class KubernetesApi:
    """Calls the API at `url` with a bearer token; `authority` is the file with the certificate to trust."""

    def __init__(self, url: str, token: str, authority: Path) -> None:
        self.url, self.token, self.authority = url, token, authority
        self.resources = cache(self._resources)
        """Kinds of an `apiVersion`; cached, so that they are to be asked for when their definitions are installed."""

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        """One call; a refusal is an answer too. Where the server asks for patience (429), the call is repeated."""
        for _ in range(_TRIES):
            answer = self._call_once(method, f"{self.url}{path}?{urllib.parse.urlencode(query)}", body)
            if answer.status != 429:
                break
            time.sleep(1)
        return answer

    def _call_once(self, method: str, url: str, body: Any) -> Answer:
        request = urllib.request.Request(url, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        data = None if body is None else json.dumps(body).encode()
        context = ssl.create_default_context(cafile=str(self.authority))
        try:
            with urllib.request.urlopen(request, data, _SECONDS, context=context) as found:
                return _answer(found.status, found.read(), found.headers.get_all("Warning"))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.read(), error.headers.get_all("Warning"))

    def create(self, item: dict[str, Any], *, dry_run: bool = False) -> Answer:
        """Creates an object under strict field validation, or does everything up to storing it."""
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return self.call("POST", self._folder(item), item, **query)

    def get(self, version: str, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """An object that must be there."""
        answer = self.call("GET", f"{self._of(version, kind, namespace)}/{name}")
        assert answer.status == 200, answer.message
        return answer.body

    def items(self, version: str, kind: str, namespace: str, **query: str) -> list[dict[str, Any]]:
        """The objects of a kind."""
        answer = self.call("GET", self._of(version, kind, namespace), **query)
        assert answer.status == 200, answer.message
        return list(answer.body["items"])

    def names(self, namespace: str) -> set[tuple[str, str]]:
        """Kind and name of every object of a namespace; what happened to them (events) is none."""
        found = set()
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in self._groups())]
        for version in versions:
            for resource in self.resources(version):
                if resource.is_namespaced and "list" in resource.verbs and resource.kind != "Event":
                    items = self.items(version, resource.kind, namespace)
                    found |= {(resource.kind, item["metadata"]["name"]) for item in items}
        return found

    def _groups(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/apis").body["groups"])

    def _resources(self, version: str) -> tuple[Resource, ...]:
        answer = self.call("GET", _root(version))
        assert answer.status == 200, answer.message
        return tuple(
            Resource(version, item["kind"], item["name"], item["namespaced"], tuple(item["verbs"]))
            for item in answer.body["resources"]
            if "/" not in item["name"]
        )

    def _folder(self, item: dict[str, Any]) -> str:
        return self._of(item["apiVersion"], item["kind"], item["metadata"].get("namespace", ""))

    def _of(self, version: str, kind: str, namespace: str) -> str:
        [resource] = [found for found in self.resources(version) if found.kind == kind]
        within = f"/namespaces/{namespace}" if resource.is_namespaced else ""
        return f"{_root(version)}{within}/{resource.plural}"


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _answer(status: int, body: bytes, warnings: list[str] | None) -> Answer:
    try:
        found = json.loads(body)
    except ValueError:
        found = {"message": body.decode(errors="replace")}
    return Answer(status, found, [text for line in warnings or () for text in _QUOTED.findall(line)])
