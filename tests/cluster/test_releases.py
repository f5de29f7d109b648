"""Releases of the chart on a real API server, with every helm: nothing is refused, warned of, or left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart import ANYBODY, CHART, Objects, helms, of_kind, pods, rendered
from tests.support.cluster import Cluster, eventually

CHANGES = ("--set", "stopGraceSeconds=60,podAnnotations.example\\.com/changed=yes,commonLabels.tier=changed")


def _done(done: subprocess.CompletedProcess[str]) -> None:
    """Helm tells on stderr what the API server warns of: unknown fields, deprecated kinds, pod security."""
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def _grace(cluster: Cluster, namespace: str, kind: str, name: str) -> int:
    item = cluster.api.get({"Pod": "v1", "StatefulSet": "apps/v1"}[kind], kind, namespace, name)
    spec = item["spec"] if kind == "Pod" else item["spec"]["template"]["spec"]
    return int(spec["terminationGracePeriodSeconds"])


def _has_grace(cluster: Cluster, namespace: str, name: str, seconds: int, *, has_pod: bool) -> None:
    """Waits until the StatefulSet, and its pod if there is to be one, have the grace of the revision."""
    assert _grace(cluster, namespace, "StatefulSet", name) == seconds
    pod = ("Pod", f"{name}-0")
    eventually(
        f"the pod of {name} with a grace of {seconds} seconds",
        lambda: (
            (pod in cluster.api.names(namespace)) == has_pod
            and (not has_pod or _grace(cluster, namespace, *pod) == seconds)
        ),
    )


def _claims(objects: Objects) -> set[tuple[str, str]]:
    """What an uninstall leaves: the volume of the server."""
    item = of_kind(objects, "StatefulSet")
    has_any = item["spec"].get("volumeClaimTemplates") and item["spec"]["replicas"]
    return {("PersistentVolumeClaim", f"state-{item['metadata']['name']}-0")} if has_any else set()


def _pod(number: int, spec: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number}", "namespace": namespace}, "spec": spec}


def test_a_release_is_installed_changed_rolled_back_and_leaves_its_volume_alone(
    cluster: Cluster, program: str, situation: Path
) -> None:
    namespace = cluster.namespace()
    where, values = ("--namespace", namespace), ("--values", situation)
    before = cluster.api.names(namespace)
    objects = rendered(program, *where, *values)
    server = of_kind(objects, "StatefulSet")
    name, has_pod = server["metadata"]["name"], server["spec"]["replicas"] > 0
    _done(cluster.helm(program, "install", "hs", CHART, *where, *values))
    _has_grace(cluster, namespace, name, 50, has_pod=has_pod)
    _done(cluster.helm(program, "upgrade", "hs", CHART, *where, *values, *CHANGES))
    _has_grace(cluster, namespace, name, 80, has_pod=has_pod)
    _done(cluster.helm(program, "rollback", "hs", "1", *where))
    _has_grace(cluster, namespace, name, 50, has_pod=has_pod)
    _done(cluster.helm(program, "uninstall", "hs", *where))
    eventually("an empty namespace", lambda: cluster.api.names(namespace) == before | _claims(objects))


def test_every_object_and_pod_is_admitted_without_a_warning(cluster: Cluster, program: str, situation: Path) -> None:
    """Pods of Ray's cluster too, which KubeRay makes: as the chart asks for them."""
    namespace = cluster.namespace()
    objects = rendered(program, "--namespace", namespace, "--values", situation)
    answers = [(item["kind"], cluster.api.create(item, dry_run=item["kind"] != "ServiceAccount")) for item in objects]
    specs = enumerate(pods([item for item in objects if item["kind"] == "RayCluster"]))
    answers += [("Pod", cluster.api.create(_pod(number, spec, namespace), dry_run=True)) for number, spec in specs]
    refused = [(kind, answer.message) for kind, answer in answers if answer.status != 201]
    assert not refused
    assert not [(kind, answer.warnings) for kind, answer in answers if answer.warnings]


def test_a_field_that_the_api_does_not_know_is_refused(cluster: Cluster, program: str) -> None:
    """And so shows that the test above can fail."""
    namespace = cluster.namespace()
    server = of_kind(rendered(program, "--namespace", namespace), "StatefulSet")
    server["spec"]["template"]["spec"]["terminationGraceSeconds"] = 50
    answer = cluster.api.create(server, dry_run=True)
    assert answer.status == 400
    assert 'unknown field "spec.template.spec.terminationGraceSeconds"' in answer.message


@pytest.mark.parametrize("values", ["ci/default-values.yaml", "examples/ray.yaml"])
def test_two_releases_share_a_namespace(cluster: Cluster, program: str, values: str) -> None:
    namespace = cluster.namespace()
    where = ("--namespace", namespace, "--values", CHART / values)
    for name in ("one", "two"):
        _done(cluster.helm(program, "install", name, CHART, *where))
    servers = [f"{name}-headstart" for name in ("one", "two")]
    for server in servers:
        _has_grace(cluster, namespace, server, 50, has_pod=True)
        selector = cluster.api.get("v1", "Service", namespace, server)["spec"]["selector"]
        query = ",".join(f"{key}={value}" for key, value in selector.items())
        found = cluster.api.items("v1", "Pod", namespace, labelSelector=query)
        assert [pod["metadata"]["name"] for pod in found] == [f"{server}-0"]
    _done(cluster.helm(program, "uninstall", "one", "--namespace", namespace))
    eventually("its end", lambda: ("Pod", "one-headstart-0") not in cluster.api.names(namespace))
    _has_grace(cluster, namespace, "two-headstart", 50, has_pod=True)


@pytest.mark.parametrize("release", ["r" * 53, "headstart", "0-to-1.second"])
def test_a_release_has_any_name_that_helm_takes(cluster: Cluster, program: str, release: str) -> None:
    namespace = cluster.namespace()
    where = ("--namespace", namespace, "--values", CHART / "examples" / "ray.yaml")
    name = of_kind(rendered(program, *where, release=release), "StatefulSet")["metadata"]["name"]
    _done(cluster.helm(program, "install", release, CHART, *where))
    _has_grace(cluster, namespace, name, 50, has_pod=True)


def test_the_volume_goes_with_a_release_that_says_so(cluster: Cluster, program: str) -> None:
    namespace = cluster.namespace()
    before = cluster.api.names(namespace)
    where = ("--namespace", namespace)
    _done(cluster.helm(program, "install", "hs", CHART, *ANYBODY, *where, "--set", "persistence.whenDeleted=Delete"))
    claim = ("PersistentVolumeClaim", "state-hs-headstart-0")
    eventually("the claim", lambda: claim in cluster.api.names(namespace))
    _done(cluster.helm(program, "uninstall", "hs", *where))
    eventually("an empty namespace", lambda: cluster.api.names(namespace) == before)


@pytest.mark.skipif(len(helms()) < 2, reason="there is one helm")
def test_a_release_goes_from_one_helm_to_the_next(cluster: Cluster) -> None:
    namespace = cluster.namespace()
    where = ("--namespace", namespace)
    before, after = helms()[0], helms()[-1]
    _done(cluster.helm(before, "install", "hs", CHART, *ANYBODY, *where))
    _done(cluster.helm(after, "upgrade", "hs", CHART, *ANYBODY, *where, *CHANGES))
    _has_grace(cluster, namespace, "hs-headstart", 80, has_pod=True)
    _done(cluster.helm(after, "rollback", "hs", "1", *where))
    _has_grace(cluster, namespace, "hs-headstart", 50, has_pod=True)


def test_the_size_of_the_volume_changes_as_the_values_say(cluster: Cluster, program: str) -> None:
    """Kubernetes refuses it for a StatefulSet: that is deleted without its pod, which the upgrade takes over."""
    namespace = cluster.namespace()
    where = ("--namespace", namespace, "--set", "persistence.size=100Gi")
    _done(cluster.helm(program, "install", "hs", CHART, *ANYBODY, "--namespace", namespace))
    _has_grace(cluster, namespace, "hs-headstart", 50, has_pod=True)
    pod = cluster.api.get("v1", "Pod", namespace, "hs-headstart-0")["metadata"]["uid"]
    refused = cluster.helm(program, "upgrade", "hs", CHART, *ANYBODY, *where)
    assert refused.returncode != 0 and "volumeClaimTemplates" in refused.stderr
    orphans = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/hs-headstart"
    assert cluster.api.call("DELETE", path, orphans).status == 200
    eventually("its end", lambda: ("StatefulSet", "hs-headstart") not in cluster.api.names(namespace))
    _done(cluster.helm(program, "upgrade", "hs", CHART, *ANYBODY, *where))
    [claim] = cluster.api.get("apps/v1", "StatefulSet", namespace, "hs-headstart")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "100Gi"
    assert cluster.api.get("v1", "Pod", namespace, "hs-headstart-0")["metadata"]["uid"] == pod
