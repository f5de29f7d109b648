"""What does not fit is refused: values before anything is created, pods that may do too much by the API server."""

from __future__ import annotations

import pytest

from tests.support.chart import ANYBODY, CHART
from tests.support.cluster import Cluster, eventually


@pytest.mark.parametrize(
    ("values", "fix"),
    [
        ("service.port=high", "integer"),
        ("config.max_queued_jobs=many", "integer"),
        ("tls.enabled=true", "tls.existingSecret names no secret"),
        ("ray.enabled=true", "give storage.url, or a volume of accessMode ReadWriteMany"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_created(
    cluster: Cluster, program: str, values: str, fix: str
) -> None:
    namespace = cluster.namespace()
    before = cluster.api.names(namespace)
    done = cluster.helm(program, "install", "hs", CHART, *ANYBODY, "--namespace", namespace, "--set", values)
    assert done.returncode != 0 and fix in done.stderr
    assert cluster.api.names(namespace) == before


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ("podSecurityContext.runAsNonRoot=false", "runAsNonRoot"),
        ("podSecurityContext.runAsUser=0", "runAsUser"),
        ("podSecurityContext.seccompProfile=null", "seccompProfile"),
        ("securityContext.allowPrivilegeEscalation=true", "allowPrivilegeEscalation"),
        ("securityContext.capabilities=null", "unrestricted capabilities"),
        ("extraVolumes[0].name=host,extraVolumes[0].hostPath.path=/", "hostPath"),
    ],
)
def test_values_that_leave_the_restricted_level_are_told_of_and_give_no_pod(
    cluster: Cluster, program: str, values: str, word: str
) -> None:
    namespace = cluster.namespace()
    done = cluster.helm(program, "install", "hs", CHART, *ANYBODY, "--namespace", namespace, "--set", values)
    assert done.returncode == 0, done.stderr
    assert "would violate PodSecurity" in done.stderr and word in done.stderr
    eventually("its refusal", lambda: any(word in text for text in _refusals(cluster, namespace)))
    assert ("Pod", "hs-headstart-0") not in cluster.api.names(namespace)


def _refusals(cluster: Cluster, namespace: str) -> list[str]:
    events = cluster.api.items("v1", "Event", namespace)
    found = [item["message"] for item in events if item["reason"] == "FailedCreate"]
    return [text for text in found if "violates PodSecurity" in text]
