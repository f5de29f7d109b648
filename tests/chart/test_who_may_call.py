"""The chart is told who may call: secrets reach the server, its scraper and its test; nothing is left open unsaid."""

from __future__ import annotations

import pytest

from tests.support.chart import of_kind, refused, rendered

NOTHING = ("--values", "/dev/null")


def test_secrets_with_tokens_reach_the_server_its_scraper_and_its_test(program: str) -> None:
    values = "auth.existingSecret=tokens,auth.existingSecretKey=all,auth.testTokenSecret=tester"
    scraped = (
        "metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.tokenSecret=scraper,networkPolicy.enabled=false"
    )
    found = rendered(program, *NOTHING, "--set", f"{values},{scraped}")
    pod = of_kind(found, "StatefulSet")["spec"]["template"]["spec"]
    [volume] = [item for item in pod["volumes"] if item["name"] == "tokens"]
    assert volume["secret"] == {"secretName": "tokens", "items": [{"key": "all", "path": "tokens"}]}
    [mount] = [item for item in pod["containers"][0]["volumeMounts"] if item["name"] == "tokens"]
    [config] = [item for item in found if item["kind"] == "ConfigMap"]
    # a file by itself (subPath) would never change while the server runs
    assert config["data"]["HEADSTART_TOKEN_FILE"] == f"{mount['mountPath']}/tokens" and "subPath" not in mount
    [endpoint] = of_kind(found, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "scraper", "key": "token"}}
    given = {item["name"]: item for item in of_kind(found, "Pod")["spec"]["containers"][0]["env"]}
    assert given["HEADSTART_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "tester", "key": "token"}}
    assert given["HEADSTART_PLAINTEXT_TOKEN"]["value"] == "1"


def test_a_test_that_could_not_be_let_in_is_none(program: str) -> None:
    asks = "auth.existingSecret=tokens"
    certificates = f"{asks},auth.testTokenSecret=t,tls.enabled=true,tls.existingSecret=c,tls.clientCaSecret=a"
    for values in (asks, certificates):
        found = rendered(program, *NOTHING, "--set", values)
        assert not [item for item in found if item["kind"] == "Pod"]


@pytest.mark.parametrize(
    ("values", "fix"),
    [
        ("service.port=1", "nothing says who may call; give auth.existingSecret (a token file) or config.oidc_issuer"),
        ("config.allow_anonymous=true,auth.existingSecret=t", "leave one of them out"),
        ("config.allow_anonymous=true,config.oidc_issuer=https://i", "leave one of them out"),
        ("tls.clientCaSecret=c", "certificates of clients need TLS"),
        ("auth.existingSecret=t,metrics.serviceMonitor.enabled=true", "no secret with a token of the scope metrics"),
    ],
)
def test_what_does_not_say_who_may_call_is_refused_with_the_fix(program: str, values: str, fix: str) -> None:
    assert fix in refused(program, "--set", values)
