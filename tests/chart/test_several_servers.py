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
    more = "extraEnvFrom[0].secretRef.name=pg,extraVolumeMounts[0].name=ca,extraVolumeMounts[0].mountPath=/etc/pg"
    more += ",extraVolumes[0].name=ca,extraVolumes[0].configMap.name=ca"
    server = of_kind(rendered(program, "--set", f"{shared},{more}"), "StatefulSet")
    [migration] = server["spec"]["template"]["spec"]["initContainers"]
    assert migration["envFrom"] == [{"secretRef": {"name": "pg"}}]  # PGPASSWORD, say
    assert {"name": "ca", "mountPath": "/etc/pg"} in migration["volumeMounts"]  # sslrootcert, say
    alone = of_kind(rendered(program), "StatefulSet")
    assert "initContainers" not in alone["spec"]["template"]["spec"]
