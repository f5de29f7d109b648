"""A pod's probes, as the kubelet makes them.

`python -m tests.support.probes PROBE`, with a probe in JSON, makes one from where it runs: the network of a container.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.chart import ROOT
from tests.support.container import Container

_HOST = "127.0.0.1"


def passes(container: Container, kind: str) -> bool:
    """Whether `kind` (startupProbe, readinessProbe or livenessProbe) passes within its tries; fails where it ended."""
    probe = container.container[kind]
    for number in range(probe["failureThreshold"]):
        if number:
            time.sleep(probe["periodSeconds"])
        assert container.process is not None and container.process.poll() is None, container.log
        if succeeds(container, probe):
            return True
    return False


def succeeds(container: Container, probe: dict[str, Any]) -> bool:
    """Whether one try of a probe succeeds."""
    ports = {item["name"]: item["containerPort"] for item in container.container["ports"]}
    numbered = {
        key: value | {"port": ports.get(value["port"], value["port"])} if isinstance(value, dict) else value
        for key, value in probe.items()
    }
    command = [sys.executable, "-m", "tests.support.probes", json.dumps(numbered)]
    found = subprocess.run(
        ["nsenter", f"--net=/proc/{container.pid}/ns/net", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert found.returncode in (0, 1) and not found.stderr, found.stderr
    return found.returncode == 0


def _answers(probe: dict[str, Any]) -> bool:
    seconds = probe.get("timeoutSeconds", 1)
    if "grpc" in probe:
        return _serves(probe["grpc"], seconds)
    if "httpGet" in probe:
        return _returns(probe["httpGet"], seconds)
    try:
        socket.create_connection((_HOST, probe["tcpSocket"]["port"]), seconds).close()
    except OSError:
        return False
    return True


def _serves(service: dict[str, Any], seconds: float) -> bool:
    with grpc.insecure_channel(f"{_HOST}:{service['port']}") as channel:
        request = health_pb2.HealthCheckRequest(service=service.get("service", ""))
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=seconds)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _returns(page: dict[str, Any], seconds: float) -> bool:
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    url = f"{page.get('scheme', 'HTTP').lower()}://{_HOST}:{page['port']}{page['path']}"
    try:
        with urllib.request.urlopen(url, timeout=seconds, context=unverified) as found:
            return bool(200 <= found.status < 400)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if _answers(json.loads(sys.argv[1])) else 1)
