"""Several servers by the chart: they share a database, whose schema is brought up to date first, and a storage."""

from __future__ import annotations

from tests.support.chart import of_kind, rendered


def test_servers_that_share_a_database_bring_it_up_to_date_before_they_start(program: str) -> None:
    shared = "database.existingSecret=db,storage.url=s3://bucket/headstart,replicaCount=3"
    server = of_kind(rendered(program, "--set", shared), "StatefulSet")
    assert server["spec"]["replicas"] == 3
    [migration] = server["spec"]["template"]["spec"]["initContainers"]
    assert migration["args"] == ["migrate"]
    [url] = [item for item in migration["env"] if item["name"] == "HEADSTART_DATABASE_URL"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "db", "key": "url"}
    alone = of_kind(rendered(program), "StatefulSet")
    assert "initContainers" not in alone["spec"]["template"]["spec"]
