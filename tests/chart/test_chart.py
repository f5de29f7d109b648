"""The Helm chart: what it renders in every situation, what it refuses, and that it reaches every flag of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from headstart_server.service.quota_file import read_quotas
from headstart_server.settings import Settings

from helm import dashboard, generate
from tests.support.chart import CHART, SITUATIONS, Objects, helm, of_kind, pods, refused, rendered

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="Kubernetes' schemas are not installed")

CUSTOM = {"ServiceMonitor", "PrometheusRule", "RayCluster", "GRPCRoute"}
"""Kinds that are not Kubernetes' own: `make test-chart` validates them."""


@pytest.fixture(params=SITUATIONS, ids=lambda path: path.stem)
def objects(request: pytest.FixtureRequest, program: str) -> Objects:
    return rendered(program, "--values", request.param)


def test_what_is_generated_is_what_values_and_settings_say() -> None:
    stale = [path.name for path, text in generate.generated().items() if path.read_text("utf-8") != text]
    assert not stale, "make chart"
    assert dashboard.PATH.read_text("utf-8") == dashboard.text(), "make chart"


def test_every_flag_of_the_server_is_reachable() -> None:
    flags = set(generate.settings_schema())
    assert flags | set(generate.SET_BY_CHART) == set(Settings.model_fields)
    assert not flags & set(generate.SET_BY_CHART)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for places in generate.SET_BY_CHART.values():
        for place in filter(None, places.split(", ")):
            found: Any = values
            for key in place.split("."):
                found = found[key]


def test_every_value_is_described() -> None:
    text = (CHART / "values.yaml").read_text()
    found = {entry.path: entry for entry in generate.entries(text)}
    silent = [
        ".".join(path) for path, _ in generate.leaves(yaml.safe_load(text), (), found) if not found[path].description
    ]
    assert not silent


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda path: path.stem)
def test_lint_finds_nothing(program: str, situation: Path) -> None:
    done = helm(program, "lint", "--strict", CHART, "--values", situation, "--kube-version", "1.35.0")
    assert done.returncode == 0, done.stdout


def test_objects_are_kubernetes_own_and_strictly_so(objects: Objects) -> None:
    for item in objects:
        if item["kind"] not in CUSTOM:
            kubernetes_validate.validate(item, "1.35", strict=True)


def test_names_are_unique_and_in_the_releases_namespace(objects: Objects) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(set(names)) == len(names)
    assert {item["metadata"]["namespace"] for item in objects} == {"ml"}
    assert all(len(name) <= 63 for _, name in names)


def test_pods_run_at_the_restricted_level(objects: Objects) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    for pod in pods(objects):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
        assert not any("hostPath" in volume for volume in pod.get("volumes", ()))


def test_the_server_starts_with_the_environment_that_its_pod_has(objects: Objects, tmp_path: Path) -> None:
    [config] = _configs(objects)
    given = {name.removeprefix("HEADSTART_").lower(): value for name, value in config["data"].items()}
    assert given.keys() <= Settings.model_fields.keys()
    for name in ("data_root", "model_root"):
        if given.get(name, "").startswith("/"):
            given[name] = str(tmp_path)
    settings = Settings.model_validate_strings(given)
    assert (settings.port, settings.http_port, settings.state_dir) == (50051, 8080, Path("/var/lib/headstart"))


def _configs(objects: Objects) -> list[dict[str, Any]]:
    return [item for item in objects if item["kind"] == "ConfigMap" and "HEADSTART_PORT" in item["data"]]


def test_large_numbers_reach_the_server_as_they_are(program: str) -> None:
    [config] = _configs(
        rendered(
            program,
            "--set-json",
            'config={"max_store_bytes": 1234567890123, "cache_days": 7.5, "allow_anonymous": true}',
        )
    )
    assert (config["data"]["HEADSTART_MAX_STORE_BYTES"], config["data"]["HEADSTART_CACHE_DAYS"]) == (
        "1234567890123",
        "7.5",
    )


def test_the_server_reads_the_quotas_that_the_values_say(program: str, tmp_path: Path) -> None:
    quotas = {"defaults": {"running_jobs": 2}, "tenants": {"a": {"dataset_bytes": 1234567890123}}}
    found = rendered(program, "--set-json", f"quotas={json.dumps(quotas)}")
    [config] = _configs(found)
    [held] = [item for item in found if item["kind"] == "ConfigMap" and "quotas.yaml" in item["data"]]
    pod = of_kind(found, "StatefulSet")["spec"]["template"]["spec"]
    [mount] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "quotas"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "quotas"]
    assert volume["configMap"]["name"] == held["metadata"]["name"]
    assert config["data"]["HEADSTART_QUOTAS"] == f"{mount['mountPath']}/quotas.yaml"
    (tmp_path / "quotas.yaml").write_text(held["data"]["quotas.yaml"])
    table = read_quotas(tmp_path / "quotas.yaml")
    assert table.defaults.running_jobs == 2
    assert table.tenants["a"].dataset_bytes == 1234567890123


def test_the_pod_outlives_the_grace_of_its_calls(program: str) -> None:
    """preStop, `--stop-grace`, and the two seconds in which the process leaves (`composition.py`)."""
    found = rendered(program, "--set", "stopGraceSeconds=120,preStopSeconds=20")
    pod = of_kind(found, "StatefulSet")["spec"]["template"]["spec"]
    [config] = _configs(found)
    assert config["data"]["HEADSTART_STOP_GRACE"] == "120"
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "20"]
    assert pod["terminationGracePeriodSeconds"] > 20 + 120 + 2


def test_services_and_policies_select_the_servers_pods(objects: Objects) -> None:
    labels = of_kind(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    selectors = [item["spec"]["selector"] for item in objects if item["kind"] == "Service"]
    selectors += [item["spec"]["podSelector"]["matchLabels"] for item in objects if item["kind"] == "NetworkPolicy"]
    selectors += [item["spec"]["selector"]["matchLabels"] for item in objects if item["kind"] == "PodDisruptionBudget"]
    assert selectors
    assert all(selector.items() <= labels.items() for selector in selectors)
    tests = [item["metadata"]["labels"] for item in objects if item["kind"] == "Pod"]
    assert not any(selector.items() <= test.items() for selector in selectors for test in tests)


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("hs", "hs-headstart"),
        ("my-headstart", "my-headstart"),
        ("2nd", "headstart-2nd"),
        ("0-headstart", "headstart-0-headstart"),
        ("team.search", "team-search-headstart"),
        ("r" * 53, "r" * 40),
        (f"{'r' * 38}--{'r' * 8}", "r" * 38),
    ],
)
def test_objects_are_named_as_services_may_be_whatever_the_release_is_called(
    program: str, release: str, name: str
) -> None:
    assert of_kind(rendered(program, release=release), "StatefulSet")["metadata"]["name"] == name


@pytest.mark.parametrize("word", ["y", "on", "2024", "1e3"])
def test_names_stay_text_where_yaml_would_read_something_else(program: str, word: str) -> None:
    places = ["serviceAccount.name", "tls.existingSecret", "database.existingSecret", "database.existingSecretKey"]
    places += ["storage.existingSecret", "persistence.storageClass", "priorityClassName", "gpu.runtimeClassName"]
    values = ",".join(f"{place}={word}" for place in places)
    for item in rendered(program, "--set", "tls.enabled=true", "--set-string", values, release=word):
        kubernetes_validate.validate(item, "1.35", strict=True)


def test_a_spread_that_does_not_say_so_counts_the_servers(program: str) -> None:
    own = {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}
    given = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"} | more for more in ({}, own)]
    found = rendered(program, "--set-json", f"topologySpreadConstraints={json.dumps(given)}")
    spec = of_kind(found, "StatefulSet")["spec"]
    first, second = spec["template"]["spec"]["topologySpreadConstraints"]
    assert first == given[0] | {"labelSelector": spec["selector"]}
    assert second == given[1]


@pytest.mark.parametrize("with_tls", [False, True])
def test_probes_ask_over_tls_where_the_server_serves_it(program: str, with_tls: bool) -> None:
    values = f"tls.enabled={str(with_tls).lower()},tls.existingSecret=certificate"
    found = rendered(program, "--set", values)
    [server] = [item for item in found if item["kind"] == "StatefulSet"]
    container = server["spec"]["template"]["spec"]["containers"][0]
    for probe, path in (
        ("startupProbe", "/livez"),
        ("readinessProbe", "/readyz?service=PredictionService"),
        ("livenessProbe", "/livez"),
    ):
        asked = {"path": path, "port": "http", "scheme": "HTTPS" if with_tls else "HTTP"}
        assert container[probe]["httpGet"] == asked


@pytest.mark.parametrize(("autoscaling", "token"), [("true", True), ("false", None)])
def test_only_a_cluster_that_grows_has_a_token_of_kubernetes(
    program: str, autoscaling: str, token: bool | None
) -> None:
    """KubeRay's autoscaler runs beside the head and asks for workers; the account hands no token out by itself."""
    shared = "ray.enabled=true,storage.url=s3://bucket/headstart"
    found = rendered(program, "--set", f"{shared},ray.autoscaling={autoscaling}")
    cluster = of_kind(found, "RayCluster")["spec"]
    assert cluster["headGroupSpec"]["template"]["spec"].get("automountServiceAccountToken") is token
    for group in cluster["workerGroupSpecs"]:
        assert "automountServiceAccountToken" not in group["template"]["spec"]
    assert of_kind(found, "ServiceAccount")["automountServiceAccountToken"] is False


@pytest.mark.parametrize(("with_tls", "protocol"), [("false", "kubernetes.io/h2c"), ("true", None)])
def test_proxies_are_told_of_cleartext_only_where_it_is(program: str, with_tls: str, protocol: str | None) -> None:
    found = rendered(program, "--set", f"tls.enabled={with_tls},tls.existingSecret=certificate")
    [service] = [item for item in found if item["kind"] == "Service" and item["metadata"]["name"] == "hs-headstart"]
    [port] = [item for item in service["spec"]["ports"] if item["name"] == "grpc"]
    assert port.get("appProtocol") == protocol


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("service.port=high", ["service", "port", "integer"]),
        ("persistance.enabled=false", ["persistance"]),
        ("config.max_quued_jobs=3", ["config", "max_quued_jobs"]),
        ("config.max_queued_jobs=many", ["config", "max_queued_jobs", "integer"]),
        ("config.port=1", ["config", "port"]),
        ("replicaCount=-1", ["replicaCount"]),
        ("fullnameOverride=Head_Start", ["fullnameOverride"]),
        ("nameOverride=2nd", ["nameOverride"]),
        ("image.pullPolicy=Sometimes", ["image", "pullPolicy", "IfNotPresent"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(program: str, value: str, words: list[str]) -> None:
    said = refused(program, "--set", value)
    assert all(word in said for word in words), said


def test_a_cluster_elsewhere_may_reach_the_servers_node_of_it(program: str) -> None:
    found = rendered(program, "--values", CHART / "ci" / "ray-outside-values.yaml")
    [peers] = [rule["from"] for rule in of_kind(found, "NetworkPolicy")["spec"]["ingress"] if "ports" not in rule]
    assert peers == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ray"}}}]


@pytest.mark.parametrize(
    ("values", "fix"),
    [
        ("data.url=s3://a/b,data.volume.nfs.server=x", "leave one of them out"),
        ("database.url=x,database.existingSecret=y", "leave one of them out"),
        ("tls.enabled=true", "tls.existingSecret names no secret"),
        ("replicaCount=2", "give database.url or database.existingSecret"),
        ("replicaCount=2,database.url=postgresql+psycopg://h/d", "give storage.url"),
        (
            "replicaCount=2,database.url=postgresql+psycopg://h/d,storage.url=s3://a/b,persistence.existingClaim=c",
            "each server gets a volume",
        ),
        ("ray.enabled=true", "give storage.url, or a volume of accessMode ReadWriteMany"),
        ("ray.enabled=true,storage.url=s3://a/b,ray.address=h:6379", "ray.existingTokenSecret no secret"),
        ("ray.enabled=true,storage.url=s3://a,ray.address=ray://h:1,ray.existingTokenSecret=t", "give HOST:6379"),
        ("grpcRoute.enabled=true,config.allow_anonymous=true", "grpcRoute.parentRefs names no gateway"),
        ("metrics.serviceMonitor.enabled=true,config.allow_anonymous=true", "say where Prometheus runs"),
        ("pageIngress.enabled=true,config.allow_anonymous=true", "say where the ingress controller runs"),
        ("ingress.enabled=true,config.allow_anonymous=true", "say where calls come from"),
        ("service.type=LoadBalancer,config.allow_anonymous=true", "say where calls come from"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_the_fix(program: str, values: str, fix: str) -> None:
    assert fix in refused(program, "--set", values)


def test_the_chart_works_as_a_part_of_another(program: str, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "headstart").symlink_to(CHART)
    about = {"apiVersion": "v2", "name": "parent", "version": "1.0.0"}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(about))
    values = {
        "global": {"imageRegistry": "x", "any": [1]},
        "headstart": {"config": {"concurrent_jobs": 3, "allow_anonymous": True}},
    }
    (parent / "values.yaml").write_text(yaml.safe_dump(values))
    [config] = _configs(rendered(program, chart=parent))
    assert config["data"]["HEADSTART_CONCURRENT_JOBS"] == "3"
